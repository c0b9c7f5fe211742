"""Scores side by side: the difference of each to the first, overall, by class and by size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NewType

import numpy as np
import pandas as pd

from recycling.annotations import Annotations
from recycling.evaluation import (
    ImageScores,
    MaskMetric,
    image_scores,
    match_boxes,
    match_boxes_by_size,
    metric_of,
    score_of_all,
    scored_groups,
)
from recycling.experiments.effect import CHANCE, LEVEL, Effect, Of, holm, measure_effect
from recycling.registry import PickedSettings
from recycling.tables import Column, Schema

ALL, BACKGROUND = "all", "background"

Kind = Literal["all", "class", "size"]
"""What a part is; Holm corrects for all of one kind. A class may be called anything, even `all`."""

Comparisons = NewType("Comparisons", pd.DataFrame)
"""One row a comparison and group of objects; schema `COMPARISONS`."""

COMPARISONS = Schema(
    "comparisons",
    (
        Column("side", "string", "what is compared with the first"),
        Column("of", "string", "`all`, or a class, or a size of objects"),
        Column("score", "Float64", "of the side, the mean over its seeds", nullable=True),
        Column("first", "Float64", "that of the first, the mean over its seeds", nullable=True),
        Column("difference", "Float64", "the score less that of the first", nullable=True),
        Column("low", "Float64", "the lower end of its interval of 95 %", nullable=True),
        Column("high", "Float64", "the upper end", nullable=True),
        Column(
            "p", "Float64", "how likely by chance, uncorrected", nullable=True, minimum=0, maximum=1
        ),
        Column(
            "p_corrected", "Float64", "Holm's, over all rows of `all`, of classes, or of sizes",
            nullable=True, minimum=0, maximum=1,
        ),
        Column("verdict", "string", "what may be said"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """What several sides scored.

    Attributes:
        effects: By side but the first, its difference to the first.
        table: The same by class and by size too.
        scores: By side, what the score of each seed is made of.
        groups: The group of each image that is scored.
    """

    effects: dict[str, Effect]
    table: Comparisons
    scores: dict[str, list[ImageScores]]
    groups: pd.Series


def compare_scores(
    settings: PickedSettings,
    truth: Annotations,
    sides: Mapping[str, Sequence[Any]],
    *,
    of: Of = "trainings",
    n_draws: int = 1000,
) -> Compared:
    """Compare predictions on the same images, each side with the first.

    Args:
        settings: The metric.
        truth: The images that were predicted on, and what is on them.
        sides: By name, the predictions of each: one for each seed, in the same order on all sides.
            Where one has fewer seeds than another, the first ones are taken.
        of: Whether a verdict on the training is asked for, or on the predictions as they are.
        n_draws: How often groups of images are drawn.

    Returns:
        The effects and their table. What is called real is so after Holm's correction for the
        number of sides; for classes and sizes, for the number of these as well.
    """
    n_seeds = min(len(predictions) for predictions in sides.values())
    members = {
        f"{name}, seed {seed}": own
        for name, predictions in sides.items()
        for seed, own in enumerate(predictions[:n_seeds])
    }
    scored = image_scores(settings, truth, members)
    groups = scored_groups(settings, truth)
    title = metric_of(settings).title

    def seeds_of(side: str, scores: Mapping[str, ImageScores]) -> list[ImageScores]:
        return [scores[f"{side}, seed {seed}"] for seed in range(n_seeds)]

    first, *others = sides
    effects, rows = {}, []
    for kind, part, own in scored_parts(settings, truth, members, scored):
        for side in others:
            effect = measure_effect(
                side, title, seeds_of(side, own), seeds_of(first, own), groups,
                of=of, n_draws=n_draws,
            )  # fmt: skip
            score = float(np.mean([score_of_all(each) for each in seeds_of(side, own)]))
            rows.append((side, kind, part, score, score - effect["difference"], effect))
            if kind == "all":
                effects[side] = effect
    return Compared(effects, _table(rows), {side: seeds_of(side, scored) for side in sides}, groups)


def scored_parts(
    settings: PickedSettings,
    truth: Annotations,
    members: Mapping[str, Any],
    scored: Mapping[str, ImageScores],
) -> Iterator[tuple[Kind, str, dict[str, ImageScores]]]:
    """What is scored: all, each class, each size of boxes, where the metric can be taken so.

    Args:
        settings: The metric.
        truth: The images that were predicted on, and what is on them.
        members: Predictions, by name.
        scored: What the score of each is made of.

    Yields:
        What kind of part it is, its name, and what its score is made of, by name of the
        predictions.
    """
    yield "all", ALL, dict(scored)
    if not all(hasattr(own, "of_class") for own in scored.values()):
        return
    names = truth.categories["name"].tolist()
    if isinstance(settings, MaskMetric):
        names = [BACKGROUND, *names]
    for number, name in enumerate(names):
        own: dict[str, Any] = {key: scores.of_class(number) for key, scores in scored.items()}  # type: ignore[attr-defined]
        if all(np.isfinite(score_of_all(scores)) for scores in own.values()):
            yield "class", name, own
    if metric_of(settings).image_scores is match_boxes:
        sizes = {key: match_boxes_by_size(truth, boxes) for key, boxes in members.items()}
        for size in next(iter(sizes.values())):
            yield "size", f"{size} objects", {key: own[size] for key, own in sizes.items()}


def _table(rows: Sequence[tuple[str, Kind, str, float, float, Effect]]) -> Comparisons:
    frame = pd.DataFrame(
        [
            {
                "side": side, "of": part, "score": score, "first": first,
                "difference": effect["difference"], "low": effect["low"], "high": effect["high"],
                "p": effect["p"], "kind": kind, "verdict": "",
            }
            for side, kind, part, score, first, effect in rows
        ],
        # Where nothing is beside the first side, as in a study of seeds alone, there are no rows.
        columns=[*COMPARISONS.names, "kind"],
    )  # fmt: skip
    frame["p"] = frame["p"].astype("Float64")
    frame["p_corrected"] = np.nan
    for _, own in frame.groupby("kind"):
        known = own["p"].dropna()
        frame.loc[known.index, "p_corrected"] = holm(known.tolist())
    frame["verdict"] = [
        "the same" if low == high == 0 else _verdict(difference, p)
        for difference, low, high, p in zip(
            frame["difference"], frame["low"], frame["high"], frame["p_corrected"], strict=True
        )
    ]
    return Comparisons(COMPARISONS.conform(frame.drop(columns="kind"), where="comparisons"))


def _verdict(difference: float, p: float) -> str:
    if np.isnan(p):
        return "no verdict: one seed"
    if p > LEVEL:
        return CHANCE
    return "better" if difference > 0 else "worse"
