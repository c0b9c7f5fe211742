"""Sides that are alike, scored on the images that all have predicted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recycling.annotations import Annotations
from recycling.experiments import Compared, ExperimentError, compare_scores, corrected_sentences
from recycling.experiments.effect import Of
from recycling.pipelines.tasks import is_labelled
from recycling.sides.core import Part, Side
from recycling.sides.differences import chosen_epoch
from recycling.sides.images import common_images, only_on, shared_part
from recycling.sides.noise import noise_lines
from recycling.sides.workplace import Workplace


@dataclass(frozen=True)
class Scored:
    """What several sides scored on the images that all of them have predicted on.

    Attributes:
        part: `out_of_fold` or `test`.
        truth: The images, with the truth.
        predicted: By side, the predictions of each seed on these images.
        compared: Each with the first; None where the images have no labels.
    """

    part: Part
    truth: Annotations
    predicted: dict[str, list[Any]]
    compared: Compared | None


def score(place: Workplace, sides: Sequence[Side]) -> Scored:
    """Score sides that are alike, each against the first.

    Raises:
        ExperimentError: They have no image in common.
    """
    part = shared_part(sides)
    truth = common_images(sides, part)
    predicted = {
        side.label: [only_on(truth, own) for own in side.predictions[part]] for side in sides
    }
    compared = None
    if is_labelled(truth):
        of: Of = "trainings" if all(side.is_training for side in sides) else "predictions"
        compared = compare_scores(place.metric(sides[0].task), truth, predicted, of=of)
    return Scored(part, truth, predicted, compared)


def check_alike(sides: Sequence[Side]) -> None:
    """Check that all sides predict the same kind of thing.

    Raises:
        ExperimentError: They do not.
    """
    if len({side.task for side in sides}) > 1:
        raise ExperimentError(
            f"{' and '.join(side.label for side in sides)} predict different things"
        )


def sentences(place: Workplace, sides: Sequence[Side], compared: Compared, part: Part) -> list[str]:
    """What may be said of each difference from the first, and what it has to be read with."""
    first, *others = sides
    effects = [compared.effects[other.label] for other in others]
    lines = []
    for other, effect, sentence in zip(others, effects, corrected_sentences(effects), strict=True):
        lines += [sentence, *chosen_epoch(first, part), *chosen_epoch(other, part)]
        lines += noise_lines(place, sides, other, effect, part)
    return lines
