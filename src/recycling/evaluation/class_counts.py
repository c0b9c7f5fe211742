"""Pixels or crops counted class by class, so that the score of any images is quickly taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.annotations.masks import label_maps as true_label_maps
from recycling.evaluation.classes import matched_crops
from recycling.evaluation.faults import naming_member
from recycling.evaluation.masks import check_label_maps, image_confusion
from recycling.predictions import IGNORE, ClassProbabilities, LabelMaps

Counts: TypeAlias = NDArray[np.float64]
"""(draws, classes) pixels or crops; the scores of them are (draws,)."""

ScoreOfCounts: TypeAlias = Callable[[Counts, Counts, Counts], Counts]
"""From hits, true and predicted counts of each class to the score of each draw."""


@dataclass(frozen=True)
class ClassCounts:
    """What a model got right, by image and class; an `ImageScores`.

    Attributes:
        score: Which score is taken of the counts; a metric's file has it.
        hits: (images, classes) pixels or crops of the class that were taken for it.
        true: (images, classes) those of the class.
        predicted: (images, classes) those that were taken for it.
    """

    score: ScoreOfCounts
    hits: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return len(self.hits)

    @property
    def has_truth(self) -> NDArray[np.bool_]:
        """(images,) whether an image holds a pixel or crop of a class."""
        return np.asarray(self.true.any(axis=1))

    def scores(self, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """The score of each draw.

        Args:
            draws: (draws, images), how often each image was drawn.

        Returns:
            (draws,), NaN where a draw has nothing to compare.
        """
        # Floats, for which numpy multiplies matrices fast; they hold counts below 2^53 exactly.
        times = draws.astype(np.float64)
        hits, true, predicted = (
            times @ counts.astype(np.float64) for counts in (self.hits, self.true, self.predicted)
        )
        return self.score(hits, true, predicted)

    def of_class(self, number: int) -> ClassCounts:
        """What was got right of one class, whose score is then the score.

        Args:
            number: Its column.
        """
        hits, true, predicted = (
            counts[:, [number]] for counts in (self.hits, self.true, self.predicted)
        )
        return ClassCounts(self.score, hits, true, predicted)


def mean_of_classes(
    numerator: Counts, denominator: Counts, counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The mean of a ratio over those classes of each draw that count.

    Args:
        numerator: (draws, classes).
        denominator: (draws, classes), above 0 where a class counts.
        counted: (draws, classes), whether a class counts.

    Returns:
        (draws,), NaN where no class counts.

    Example:
        >>> numerator, denominator = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[2.0, 2.0]] * 2)
        >>> mean_of_classes(numerator, denominator, numerator > 0).tolist()
        [0.75, nan]
    """
    by_class = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=counted)
    n_classes = counted.sum(axis=1)
    result = np.full(len(numerator), np.nan)
    np.divide(by_class.sum(axis=1), n_classes, out=result, where=n_classes > 0)
    return result


def count_pixels(
    truth: Annotations, members: Mapping[str, LabelMaps], *, score: ScoreOfCounts
) -> dict[str, ClassCounts]:
    """Count the pixels of each class that segmentation models got right, image by image.

    The truth of an image is painted once for all members. Beside those that `ImageMaps` keeps, one
    image's maps are in memory at a time. An image that a member has not predicted, whose map is all
    "ignore", counts for nothing.

    Args:
        truth: The images that were predicted on, and what is on them.
        members: The label maps of each member, by its name.
        score: Which score is taken of the counts.

    Returns:
        The counts of each member, by its name; images in the order of the truth, the background
        first, then the categories.

    Raises:
        EvaluationError: As `mask_metrics` does; the member is named.
    """
    for name, label_maps in members.items():
        with naming_member(name):
            check_label_maps(truth, label_maps)
    n_classes = 1 + len(truth.categories)
    shape = (len(truth.images), n_classes)
    counts = {name: tuple(np.zeros(shape, dtype=np.int64) for _ in range(3)) for name in members}
    for row, (image_id, expected) in enumerate(true_label_maps(truth).items()):
        for name, (hits, true, predicted) in counts.items():
            label_map = members[name][image_id]
            if (label_map == IGNORE).all():
                continue
            with naming_member(name):
                square = image_confusion(expected, label_map, n_classes, image_id)
            hits[row] = np.diag(square)
            true[row], predicted[row] = square.sum(axis=1), square.sum(axis=0)
    return {name: ClassCounts(score, *of_member) for name, of_member in counts.items()}


def count_crops(
    truth: Annotations, members: Mapping[str, ClassProbabilities], *, score: ScoreOfCounts
) -> dict[str, ClassCounts]:
    """Count the crops of each class that classifiers got right, image by image.

    Args:
        truth: The annotations whose crops were classified; crowd regions are left out.
        members: The class probabilities of each member, by its name.
        score: Which score is taken of the counts.

    Returns:
        The counts of each member, by its name; the images that have crops in ascending order,
        classes in the order of the categories.

    Raises:
        EvaluationError: As `class_metrics` does; the member is named.
    """
    annotations = truth.annotations
    image, images = pd.factorize(annotations["image_id"][~annotations["iscrowd"]], sort=True)
    shape = (len(images), len(truth.categories))
    result = {}
    for name, probabilities in members.items():
        with naming_member(name):
            expected, scores = matched_crops(truth, probabilities)
        chosen = scores.argmax(axis=1)
        right = chosen == expected
        hits, true, predicted = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        np.add.at(hits, (image[right], expected[right]), 1)
        np.add.at(true, (image, expected), 1)
        np.add.at(predicted, (image, chosen), 1)
        result[name] = ClassCounts(score, hits, true, predicted)
    return result
