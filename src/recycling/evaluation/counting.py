"""Pixels or crops counted class by class, so that mIoU or F1 of any images is quickly taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.annotations.masks import label_maps as painted
from recycling.evaluation.classes import matched_crops
from recycling.evaluation.masks import check_label_maps, image_confusion
from recycling.evaluation.members import of_member
from recycling.predictions import ClassProbabilities, LabelMaps


@dataclass(frozen=True)
class ClassCounts:
    """What a model got right, by image and class; an `ImageScores`.

    Attributes:
        metric: The score: ``mIoU`` over the classes that are in the truth or predicted, or
            ``macro F1`` over those that are in the truth.
        hits: (images, classes) pixels or crops of the class that were taken for it.
        true: (images, classes) those of the class.
        predicted: (images, classes) those that were taken for it.
    """

    metric: Literal["mIoU", "macro F1"]
    hits: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return len(self.hits)

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
            times @ part.astype(np.float64) for part in (self.hits, self.true, self.predicted)
        )
        if self.metric == "mIoU":
            here, ratio = true + predicted > 0, (hits, true + predicted - hits)
        else:
            here, ratio = true > 0, (2 * hits, true + predicted)
        by_class = np.divide(*ratio, out=np.zeros_like(hits), where=here)
        n_classes = here.sum(axis=1)
        result = np.full(len(draws), np.nan)
        np.divide(by_class.sum(axis=1), n_classes, out=result, where=n_classes > 0)
        return result


def count_pixels(truth: Annotations, members: Mapping[str, LabelMaps]) -> dict[str, ClassCounts]:
    """Count the pixels of each class that segmentation models got right, image by image.

    The truth of an image is painted once for all members; one image's maps are in memory at a
    time.

    Args:
        truth: The images that were predicted on, and what is on them.
        members: The label maps of each member, by its name.

    Returns:
        The counts of each member, by its name; images in the order of the truth, the background
        first, then the categories.

    Raises:
        EvaluationError: As `recycling.evaluation.segmentation_metrics` does; the member is named.
    """
    for name, label_maps in members.items():
        with of_member(name):
            check_label_maps(truth, label_maps)
    n_classes = 1 + len(truth.categories)
    shape = (len(truth.images), n_classes)
    counts = {name: tuple(np.zeros(shape, dtype=np.int64) for _ in range(3)) for name in members}
    for row, (image_id, expected) in enumerate(painted(truth).items()):
        for name, (hits, true, predicted) in counts.items():
            with of_member(name):
                square = image_confusion(expected, members[name][image_id], n_classes, image_id)
            hits[row] = np.diag(square)
            true[row], predicted[row] = square.sum(axis=1), square.sum(axis=0)
    return {name: ClassCounts("mIoU", *parts) for name, parts in counts.items()}


def count_crops(
    truth: Annotations, members: Mapping[str, ClassProbabilities]
) -> dict[str, ClassCounts]:
    """Count the crops of each class that classifiers got right, image by image.

    Args:
        truth: The annotations whose crops were classified; crowd regions are left out.
        members: The class probabilities of each member, by its name.

    Returns:
        The counts of each member, by its name; the images that have crops in ascending order,
        classes in the order of the categories.

    Raises:
        EvaluationError: As `recycling.evaluation.classification_metrics` does; the member is named.
    """
    annotations = truth.annotations
    image, images = pd.factorize(annotations["image_id"][~annotations["iscrowd"]], sort=True)
    shape = (len(images), len(truth.categories))
    result = {}
    for name, probabilities in members.items():
        with of_member(name):
            expected, scores = matched_crops(truth, probabilities)
        chosen = scores.argmax(axis=1)
        right = chosen == expected
        hits, true, predicted = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        np.add.at(hits, (image[right], expected[right]), 1)
        np.add.at(true, (image, expected), 1)
        np.add.at(predicted, (image, chosen), 1)
        result[name] = ClassCounts("macro F1", hits, true, predicted)
    return result
