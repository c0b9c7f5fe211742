"""Which detection found which object, as COCO matches them, straight from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations
from recycling.evaluation.core import EvaluationError
from recycling.evaluation.object_sizes import AREA_RANGES
from recycling.predictions import DETECTIONS, Detections
from recycling.predictions.ordering import order_by_score

MAX_DETECTIONS = 100
"""Of a category on an image that COCO counts."""

RECALLS = np.linspace(0, 1, 101)
"""At which COCO takes the precision."""

WRONG, RIGHT, IGNORED = 0, 1, 2
"""What a detection is: a false positive, a true positive, or of no account."""

_GROUPS_AT_A_TIME = 4096  # for a thread: a few milliseconds


@dataclass(frozen=True)
class Matching:
    """What became of each detection.

    Images and categories are rows of the truth's tables.

    Attributes:
        row: (detections,), row in the table of detections; image by image, category by category,
            the best first.
        image: (detections,), its image.
        category: (detections,), its category.
        score: (detections,), confidence.
        outcome: (thresholds, ranges, detections), `WRONG`, `RIGHT` or `IGNORED` (on a crowd region
            or an object of another size, too many, or of another size itself and nowhere).
        found: (thresholds, detections), the row of the object that it found, or -1; of any size.
        object_image: (objects,), in the order of the truth's annotations.
        object_category: (objects,).
        n_objects: (ranges, categories), how many objects there are to find.
    """

    row: NDArray[np.int64]
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    score: NDArray[np.float64]
    outcome: NDArray[np.uint8]
    found: NDArray[np.int32]
    object_image: NDArray[np.int64]
    object_category: NDArray[np.int64]
    n_objects: NDArray[np.int64]


def match(
    truth: Annotations,
    detections: Detections,
    *,
    iou_thresholds: Sequence[float],
    area_ranges: Sequence[tuple[float, float]] = AREA_RANGES[:1],
    max_detections: int = MAX_DETECTIONS,
) -> Matching:
    """Match detections with objects.

    The best detection comes first; it finds the free object of its category that it overlaps most.

    Args:
        truth: The images that were predicted on, and what is on them. Crowd regions are neither
            found nor missed.
        detections: What was found.
        iou_thresholds: The intersections over union from which on a detection finds an object.
        area_ranges: Which objects count, by their area in square pixels.
        max_detections: How many detections of a category on an image count, the best ones.

    Raises:
        EvaluationError: The truth holds no object, or a detection is on an image or of a category
            that the truth does not know.
    """
    if truth.annotations["iscrowd"].all():
        raise nothing_to_find(len(truth.images))
    return match_part(
        truth,
        detections,
        iou_thresholds=iou_thresholds,
        area_ranges=area_ranges,
        max_detections=max_detections,
    )


def nothing_to_find(n_images: int) -> EvaluationError:
    """The fault that no object is on any image."""
    return EvaluationError(
        f"truth: no object on any of the {n_images} images, so there is nothing to "
        "find; evaluate on labelled images"
    )


def match_part(
    truth: Annotations,
    detections: Detections,
    *,
    iou_thresholds: Sequence[float],
    area_ranges: Sequence[tuple[float, float]],
    max_detections: int = MAX_DETECTIONS,
) -> Matching:
    """As `match` does, on images that may be without objects, as some of all images may be."""
    objects = truth.annotations
    is_crowd = objects["iscrowd"].to_numpy(dtype=bool)
    table = DETECTIONS.conform(detections, where="detections")
    image, category = _rows(truth, table)
    for column, known in (("image_id", image), ("category_id", category)):
        if (known < 0).any():
            strange = table[column][known < 0]
            raise EvaluationError(
                f"detections: {column} {strange.iloc[0]} is not in the truth; "
                f"{len(strange)} of {len(table)} rows are like that"
            )
    object_image, object_category = _rows(truth, objects)

    # By id, not by row: so are images in the reference, where equal scores meet.
    place = np.argsort(np.argsort(truth.images["image_id"].to_numpy()))
    group = place[image] * len(truth.categories) + category
    score = table["score"].to_numpy()
    edges = [table[column].to_numpy() for column in BOX]
    row = order_by_score(np.arange(len(table)), group, score, edges)

    object_group = place[object_image] * len(truth.categories) + object_category
    object_row = np.argsort(object_group, kind="stable")
    object_group = object_group[object_row]
    object_area = objects["area"].to_numpy(dtype=np.float64)

    ranges = np.array(area_ranges, dtype=np.float64)
    outcome, found = _matched(
        group[row],
        object_group,
        _sides(table)[:, row],
        _sides(objects)[:, object_row],
        object_area[object_row],
        is_crowd[object_row],
        np.array(iou_thresholds, dtype=np.float64),
        ranges,
        max_detections,
    )
    counts = ~is_crowd & (object_area >= ranges[:, :1]) & (object_area <= ranges[:, 1:])
    return Matching(
        row=row,
        image=image[row],
        category=category[row],
        score=score[row],
        outcome=outcome,
        found=np.append(object_row, -1)[found].astype(np.int32),  # -1 is the last
        object_image=object_image,
        object_category=object_category,
        n_objects=np.array(
            [np.bincount(object_category[own], minlength=len(truth.categories)) for own in counts]
        ),
    )


def average_precision(matching: Matching) -> NDArray[np.float64]:
    """COCO's average precision: the mean of the interpolated precision at 101 recalls.

    Returns:
        (thresholds, ranges, categories), NaN where there is nothing to find.
    """
    from recycling.evaluation.box_kernels import average_precisions

    order, offsets = by_category(matching.category, matching.score, matching.n_objects.shape[1])
    n_thresholds, n_ranges, _ = matching.outcome.shape
    result = np.empty((n_thresholds, n_ranges, len(offsets) - 1))

    def of_category(category: int) -> None:
        one = slice(category, category + 1)
        own = order[offsets[category] : offsets[category + 1]]
        bounds = np.array([0, len(own)])
        n_objects = matching.n_objects[:, one]
        average_precisions(own, bounds, matching.outcome, n_objects, RECALLS, result[:, :, one])

    with ThreadPoolExecutor(n_threads()) as threads:
        list(threads.map(of_category, range(len(offsets) - 1)))
    return result


def by_category(
    category: NDArray[np.int64], score: NDArray[np.float64], n_categories: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Category by category, the best first; equals stay in order.

    Returns:
        (detections,), and (categories + 1,), where each category begins.

    Example:
        >>> order, offsets = by_category(np.array([1, 0, 1]), np.array([0.2, 0.5, 0.9]), 2)
        >>> order.tolist(), offsets.tolist()
        ([1, 2, 0], [0, 1, 3])
    """
    order = np.lexsort((-score, category))
    return order, np.searchsorted(category[order], np.arange(n_categories + 1))


def _matched(
    group: NDArray[np.int64],
    object_group: NDArray[np.int64],
    boxes: NDArray[np.float64],
    object_boxes: NDArray[np.float64],
    object_area: NDArray[np.float64],
    is_crowd: NDArray[np.bool_],
    iou_thresholds: NDArray[np.float64],
    area_ranges: NDArray[np.float64],
    max_detections: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Outcome and found object of detections and objects that are in the order of their groups."""
    from recycling.evaluation.box_kernels import match

    first = np.flatnonzero(np.diff(group, prepend=-1))
    last = np.append(first[1:], len(group))
    object_first = np.searchsorted(object_group, group[first], side="left")
    object_last = np.searchsorted(object_group, group[first], side="right")
    shape = (len(iou_thresholds), len(area_ranges), len(group))
    outcome = np.full(shape, IGNORED, dtype=np.uint8)
    found = np.full((shape[0], shape[2]), -1, dtype=np.int32)

    def match_some(start: int) -> None:
        some = slice(start, start + _GROUPS_AT_A_TIME)
        match(
            first[some],
            last[some],
            object_first[some],
            object_last[some],
            boxes,
            object_boxes,
            object_area,
            is_crowd,
            iou_thresholds,
            area_ranges,
            max_detections,
            outcome,
            found,
        )

    with ThreadPoolExecutor(n_threads()) as threads:
        list(threads.map(match_some, range(0, len(first), _GROUPS_AT_A_TIME)))
    return outcome, found


def n_threads() -> int:
    """How many threads numba would use."""
    from numba import get_num_threads

    return int(get_num_threads())


def _sides(table: pd.DataFrame) -> NDArray[np.float64]:
    """(4, rows) x, y, width and height, as COCO's files have them."""
    x_min, y_min, x_max, y_max = (table[column].to_numpy(dtype=np.float64) for column in BOX)
    return np.stack([x_min, y_min, x_max - x_min, y_max - y_min])


def _rows(truth: Annotations, table: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row of the image and of the category of each row, in the truth's tables; -1 for none."""
    image = pd.Index(truth.images["image_id"]).get_indexer(table["image_id"])
    category = pd.Index(truth.categories["category_id"]).get_indexer(table["category_id"])
    return image.astype(np.int64), category.astype(np.int64)
