"""Calibrated probabilities of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from recycling.ensembling.calibration.core import Calibrator, Curves, Evidence
from recycling.ensembling.masks.image_members import stacked
from recycling.predictions import IGNORE, LabelMap
from recycling.predictions.probability_maps import ProbabilityMaps, ProbabilityPlanes

STEPS = 256
"""Values that a plane may have."""


def count_planes(
    known: ProbabilityMaps, truth: Mapping[int, LabelMap], image_ids: Iterable[int]
) -> NDArray[np.int64]:
    """How many pixels of each probability are of the label, and how many are not.

    Beside those that `ImageMaps` keeps, one image's planes are in memory at a time.

    Args:
        known: A member's probabilities of images that it has not seen.
        truth: Their labels; "ignore" counts for nothing.
        image_ids: Which images to count.

    Returns:
        (classes, 256, 2) pixels by value of their plane, not of the label first; of (0, 256, 2)
        where there is no image.

    Example:
        >>> planes = ProbabilityMaps([1], lambda _: np.array([[[55]], [[200]]], np.uint8))
        >>> counts = count_planes(planes, {1: np.ones((1, 1), np.uint8)}, [1])
        >>> counts[0, 55].tolist(), counts[1, 200].tolist()
        ([1, 0], [0, 1])
    """
    total: NDArray[np.int64] | None = None
    for image_id in image_ids:
        labels = truth[image_id]
        sizes = {image_id: (labels.shape[0], labels.shape[1])}
        planes = stacked([known], image_id, sizes=sizes)[0]
        seen = labels != IGNORE
        of_image = np.stack(
            [
                np.bincount(
                    2 * plane[seen].astype(np.int64) + (labels[seen] == label), minlength=2 * STEPS
                ).reshape(STEPS, 2)
                for label, plane in enumerate(planes)
            ]
        )
        total = of_image if total is None else total + of_image
    return np.zeros((0, STEPS, 2), dtype=np.int64) if total is None else total


def calibrate_masks(method: str, counts: NDArray[np.int64]) -> Calibrator:
    """Learn how often pixels are of a label that a member gives some probability.

    Each label is calibrated against all others; the planes of a pixel need not sum to 1.

    Args:
        method: The name of a calibration.
        counts: (classes, 256, 2), from `count_planes`; with no class, planes stay as they are.

    Returns:
        What calibrates probability planes of the same member, each when it is asked for.

    Example:
        >>> counts = np.zeros((1, 256, 2), dtype=np.int64)
        >>> counts[0, 200] = 30, 30
        >>> planes = ProbabilityMaps([1], lambda _: np.full((1, 1, 1), 200, np.uint8))
        >>> calibrate_masks("isotonic", counts)(planes)[1].tolist()
        [[[128]]]
    """
    if len(counts) == 0:
        return lambda planes: planes
    value = np.arange(STEPS) / (STEPS - 1)
    evidence = {}
    for label, (wrong, right) in enumerate(counts.transpose(0, 2, 1).astype(np.float64)):
        score, weight = np.tile(value, 2), np.concatenate([wrong, right])
        seen = weight > 0
        is_right = np.repeat([0.0, 1.0], STEPS)
        evidence[label] = Evidence(score[seen], is_right[seen], weight[seen])
    curves = Curves(method, evidence)
    table = np.stack(
        [np.rint(255 * np.clip(curves[label](value), 0, 1)) for label in range(len(counts))]
    ).astype(np.uint8)

    def calibrated(planes: ProbabilityMaps) -> ProbabilityMaps:
        def read(image_id: int) -> ProbabilityPlanes:
            own = planes[image_id]
            return np.asarray(table[np.arange(len(own))[:, None, None], own], dtype=np.uint8)

        return ProbabilityMaps(list(planes), read)

    return calibrated
