"""Which detection found which object, so that mAP of any images or scores is quickly taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.evaluation.boxes import check_detections, coco_evaluation, in_evaluation_order
from recycling.evaluation.faults import naming_member
from recycling.predictions import Detections

_MOST_OF_CATEGORY = 100  # detections of one category on one image that COCO's mAP counts
_RECALLS = np.linspace(0, 1, 101)
_BLOCK = 4_000_000  # numbers in memory at a time


@dataclass(frozen=True)
class BoxMatches:
    """What a detector found, by image; an `ImageScores`.

    The score is the mean average precision at the overlap (IoU) that was asked for.

    Detections are in the order of category, then score, the best first. Those that COCO's mAP
    does not count (on crowd regions, beyond the best 100 of a category on an image, or of negative
    area) are not among them.

    Attributes:
        n_images: How many images the truth has.
        n_categories: How many categories the truth has.
        image: (detections,) row of the image in the truth.
        category: (detections,) row of the category in the truth, ascending.
        score: (detections,) confidence.
        hit: (detections,) whether it found an object that no better one had found.
        object_image: (objects,) row of the image of each true object.
        object_category: (objects,) row of its category.
        found_score: (objects,) the score of the detection that found it, -1 where none did.
    """

    n_images: int
    n_categories: int
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    score: NDArray[np.float64]
    hit: NDArray[np.bool_]
    object_image: NDArray[np.int64]
    object_category: NDArray[np.int64]
    found_score: NDArray[np.float64]

    def scores(self, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """The mean average precision of each draw.

        Args:
            draws: (draws, images), how often each image was drawn.

        Returns:
            (draws,), NaN where a draw has no object.
        """
        total, counted = np.zeros(len(draws)), np.zeros(len(draws))
        for category in np.unique(self.object_category):
            precision = self._average_precision(draws, int(category))
            defined = ~np.isnan(precision)
            total[defined] += precision[defined]
            counted += defined
        result = np.full(len(draws), np.nan)
        np.divide(total, counted, out=result, where=counted > 0)
        return result

    def scores_above(self, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean average precision of the detections that score as much as a threshold or more.

        Args:
            thresholds: (thresholds,).

        Returns:
            (thresholds,).
        """
        total = np.zeros(len(thresholds))
        categories = np.unique(self.object_category)
        for category in categories.tolist():
            own = self._of_category(category)
            hits = np.cumsum(self.hit[own])[self.hit[own]]
            wrong = np.flatnonzero(self.hit[own]) + 1 - hits
            n_objects = np.count_nonzero(self.object_category == category)
            # Scores descend, so what a threshold leaves is the beginning.
            left = np.searchsorted(-self.score[own][self.hit[own]], -thresholds, side="right")
            total += [_area(hits[:n], wrong[:n], n_objects) for n in left]
        return total / len(categories)

    def _average_precision(self, draws: NDArray[np.int64], category: int) -> NDArray[np.float64]:
        """(draws,) Average precision of one category, NaN where a draw has no object of it.

        An image that was drawn twice adds each of its detections twice: COCO's curve through these
        points only ever bends at the last copy of a hit, so weights do what copies would.
        """
        own = self._of_category(category)
        image, hit = self.image[own], self.hit[own]
        n_objects = draws @ np.bincount(
            self.object_image[self.object_category == category], minlength=self.n_images
        )
        result = np.empty(len(draws))
        step = max(1, _BLOCK // max(len(image), 1))
        for start in range(0, len(draws), step):
            times = draws[start : start + step].astype(np.int32)[:, image]
            seen = np.cumsum(times, axis=1, dtype=np.int32)[:, hit]
            hits = np.cumsum(times[:, hit], axis=1, dtype=np.int32)
            for row in range(len(times)):
                n = n_objects[start + row]
                result[start + row] = _area(hits[row], seen[row] - hits[row], n) if n else np.nan
        return result

    def _of_category(self, category: int) -> slice:
        return slice(self._bounds[category], self._bounds[category + 1])

    @cached_property
    def _bounds(self) -> list[int]:
        """Where the detections of each category begin, and the end."""
        bounds: list[int] = np.searchsorted(
            self.category, np.arange(self.n_categories + 1)
        ).tolist()
        return bounds


def match_boxes(
    truth: Annotations, members: Mapping[str, Detections], *, iou_threshold: float = 0.5
) -> dict[str, BoxMatches]:
    """Match detections with objects as COCO does.

    Args:
        truth: The images that were predicted on, and what is on them.
        members: The detections of each member, by its name.
        iou_threshold: The intersection over union from which on a detection finds an object.

    Returns:
        The matches of each member, by its name.

    Raises:
        EvaluationError: As `box_metrics` does; the member is named.
    """
    result = {}
    for name, detections in members.items():
        with naming_member(name):
            check_detections(truth, detections)
            result[name] = _matches(truth, detections, iou_threshold)
    return result


def _matches(truth: Annotations, detections: Detections, iou_threshold: float) -> BoxMatches:
    found = in_evaluation_order(detections)
    evaluation = coco_evaluation(truth, found)
    parameters = evaluation.params
    parameters.iouThrs = np.array([iou_threshold])
    parameters.areaRng, parameters.areaRngLbl = parameters.areaRng[:1], parameters.areaRngLbl[:1]
    parameters.maxDets = [_MOST_OF_CATEGORY]
    evaluation.evaluate()
    evaluation.accumulate()
    # Keys are the numbers of a detection and its object, from 1, as "12_7".
    pairs: NDArray[np.int64] = (
        np.array([key.split("_") for key in evaluation.eval["matched"]], dtype=np.int64)
        .reshape(-1, 2) - 1
    )  # fmt: skip
    crowd = truth.annotations["iscrowd"].to_numpy(dtype=bool)
    on_crowd = crowd[pairs[:, 1]]
    score = found["score"].to_numpy(dtype=np.float64)
    hit = np.zeros(len(found), dtype=bool)
    hit[pairs[~on_crowd, 0]] = True
    rank = found.groupby(["image_id", "category_id"]).cumcount().to_numpy()
    counted: NDArray[np.bool_] = rank < _MOST_OF_CATEGORY
    counted[pairs[on_crowd, 0]] = False
    # COCO leaves out a box of negative area that found nothing.
    area = (found["x_max"] - found["x_min"]) * (found["y_max"] - found["y_min"])
    counted &= hit | (area >= 0).to_numpy()
    found_score = np.full(len(crowd), -1.0)
    found_score[pairs[~on_crowd, 1]] = score[pairs[~on_crowd, 0]]

    image, category = _rows(truth, found)
    object_image, object_category = _rows(truth, truth.annotations)
    order = np.lexsort((-score, category))
    order = order[counted[order]]
    return BoxMatches(
        n_images=len(truth.images),
        n_categories=len(truth.categories),
        image=image[order],
        category=category[order],
        score=score[order],
        hit=hit[order],
        object_image=object_image[~crowd],
        object_category=object_category[~crowd],
        found_score=found_score[~crowd],
    )


def _rows(truth: Annotations, table: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row of the image and of the category of each row, in the truth's tables."""
    image = pd.Index(truth.images["image_id"]).get_indexer(table["image_id"])
    category = pd.Index(truth.categories["category_id"]).get_indexer(table["category_id"])
    return image.astype(np.int64), category.astype(np.int64)


def _area(hits: NDArray[Any], wrong: NDArray[Any], n_objects: int) -> float:
    """The area under the precision that COCO interpolates at 101 recalls.

    Args:
        hits: (hits,) integers, how many hits there are up to and with each of them.
        wrong: (hits,) integers, how many other detections score higher than each of them.
        n_objects: How many objects there are to find.
    """
    n = len(hits)
    if n == 0:
        return 0.0
    precision = hits / np.maximum(hits + wrong, 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(hits / n_objects, _RECALLS, side="left")
    return float(best[first[first < n]].sum() / len(_RECALLS))
