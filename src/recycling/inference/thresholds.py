"""Which of the objects that were found are sure enough to be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recycling.backends.shared.model import Task
from recycling.errors import listed
from recycling.inference.parts import Predicted
from recycling.pseudo_labels import PseudoLabeling, Thresholds
from recycling.pseudo_labels.core import is_kept


def above(predicted: Predicted, score_threshold: float) -> Predicted:
    """What was found with a score, or with none that could be lower.

    Args:
        predicted: What was found.
        score_threshold: The least score.
    """
    score = predicted.objects["score"]
    kept = (score >= score_threshold).fillna(True).astype(bool)
    return replace(predicted, objects=predicted.objects[kept].reset_index(drop=True))


def promised(
    predicted: Predicted, thresholds: Thresholds, settings: PseudoLabeling
) -> tuple[Predicted, int]:
    """What a promise is of: the surest on each image, from the threshold of their category on.

    Args:
        predicted: What was found.
        thresholds: Those of the promise.
        settings: Says how many of a category on an image it is of.

    Returns:
        What is kept; and how many more reach the threshold, which the promise is not of.
    """
    objects = predicted.objects
    kept = is_kept(objects, thresholds, settings, len(predicted.images))
    every = is_kept(
        objects,
        thresholds,
        settings.model_copy(update={"cap": max(len(objects), 1)}),
        len(predicted.images),
    )
    own = replace(predicted, objects=objects[kept].reset_index(drop=True))
    return own, int(every.sum() - kept.sum())


def promise_lines(thresholds: Thresholds, task: Task, doubts: Sequence[str] = ()) -> list[str]:
    """What is promised, a line a category, of which images, and what it does not cover.

    Args:
        thresholds: Those of the promise.
        task: What is predicted.
        doubts: What the promise does not cover.
    """
    lines = [
        f"{row.category}: {row.precision:g} of those from {row.threshold:g} are right"
        for row in thresholds.dropna(subset=["threshold"]).itertuples()
    ]
    if task == "cls":
        lines.append("this was learnt on annotated crops, and holds of images like these")
    nothing = thresholds.loc[thresholds["threshold"].isna(), "category"]
    if len(nothing):
        lines.append(f"nothing can be promised, and nothing is kept, of {listed(nothing)}")
    if doubts:
        lines.append(f"NOT COVERED: {'; '.join(doubts)}")
    return lines
