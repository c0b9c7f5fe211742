"""Which detection found which object, so that mAP of any images or scores is quickly taken."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.evaluation.box_matching import (
    IGNORED,
    RECALLS,
    RIGHT,
    Matching,
    by_category,
    match,
    n_threads,
)
from recycling.evaluation.faults import naming_member
from recycling.evaluation.object_sizes import AREA_RANGES, SIZES
from recycling.predictions import Detections

_DRAWS_AT_A_TIME = 16  # for a thread


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

    @property
    def has_truth(self) -> NDArray[np.bool_]:
        """(images,) whether an image holds an object."""
        return np.isin(np.arange(self.n_images), self.object_image)

    def scores(self, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """The mean average precision of each draw.

        Args:
            draws: (draws, images), how often each image was drawn.

        Returns:
            (draws,), NaN where a draw has no object.
        """
        from recycling.evaluation.box_kernels import mean_precision_of_draws

        present = np.zeros((self.n_images, self.n_categories))
        np.add.at(present, (self.object_image, self.object_category), 1.0)
        objects = np.rint(draws @ present).astype(np.int64)
        result = np.empty(len(draws))

        def score_some(start: int) -> None:
            some = slice(start, start + _DRAWS_AT_A_TIME)
            mean_precision_of_draws(
                draws[some],
                self.image,
                self.hit,
                self._bounds,
                objects[some],
                RECALLS,
                result[some],
            )

        with ThreadPoolExecutor(n_threads()) as threads:
            list(threads.map(score_some, range(0, len(draws), _DRAWS_AT_A_TIME)))
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

    def of_class(self, category: int) -> BoxMatches:
        """What was found of one category, whose average precision is then the score.

        Args:
            category: Its row in the truth.
        """
        own, objects = self._of_category(category), self.object_category == category
        nothing = np.zeros_like
        return BoxMatches(
            n_images=self.n_images,
            n_categories=1,
            image=self.image[own],
            category=nothing(self.category[own]),
            score=self.score[own],
            hit=self.hit[own],
            object_image=self.object_image[objects],
            object_category=nothing(self.object_category[objects]),
            found_score=self.found_score[objects],
        )

    def _of_category(self, category: int) -> slice:
        return slice(self._bounds[category], self._bounds[category + 1])

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        """Where the detections of each category begin, and the end."""
        return np.searchsorted(self.category, np.arange(self.n_categories + 1))


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
            result[name] = _matches(truth, detections, iou_threshold)
    return result


def match_boxes_by_size(
    truth: Annotations, detections: Detections, *, iou_threshold: float = 0.5
) -> dict[str, BoxMatches]:
    """Match detections with the objects of each of COCO's sizes, as COCO does.

    Args:
        truth: The images that were predicted on, and what is on them.
        detections: What was found.
        iou_threshold: The intersection over union from which on a detection finds an object.

    Returns:
        By size (small: up to 32 x 32 square pixels, medium: up to 96 x 96, large) that the truth
        has objects of.

    Raises:
        EvaluationError: As `match_boxes` does.
    """
    matching = match(truth, detections, iou_thresholds=[iou_threshold], area_ranges=AREA_RANGES)
    sizes = (_of_range(truth, matching, index) for index in range(1, len(AREA_RANGES)))
    return {size: own for size, own in zip(SIZES, sizes, strict=True) if len(own.object_image)}


def right_boxes(
    truth: Annotations, detections: Detections, *, iou_threshold: float = 0.5
) -> NDArray[np.float64]:
    """Which detections found an object, as COCO matches them.

    Args:
        truth: The images that were predicted on, and what is on them.
        detections: What was found.
        iou_threshold: The intersection over union from which on a detection finds an object.

    Returns:
        (detections,), in the order of their rows: 1 for one that found an object that no better one
        had found, 0 for another, NaN for one of no account, as on a crowd region.

    Raises:
        EvaluationError: As `match_boxes` does.
    """
    matching = match(truth, detections, iou_thresholds=[iou_threshold])
    outcome = matching.outcome[0, 0].astype(np.float64)
    outcome[matching.outcome[0, 0] == IGNORED] = np.nan
    result = np.empty(len(detections))
    result[matching.row] = outcome
    return result


def _matches(truth: Annotations, detections: Detections, iou_threshold: float) -> BoxMatches:
    return _of_range(truth, match(truth, detections, iou_thresholds=[iou_threshold]), 0)


def _of_range(truth: Annotations, matching: Matching, index: int) -> BoxMatches:
    """What was found of the objects of one range of areas."""
    outcome, found = matching.outcome[0, index], matching.found[0]
    order, _ = by_category(matching.category, matching.score, len(truth.categories))
    order = order[outcome[order] != IGNORED]
    hit = outcome == RIGHT
    found_score = np.full(len(matching.object_image), -1.0)
    found_score[found[hit]] = matching.score[hit]
    least, most = AREA_RANGES[index]
    area = truth.annotations["area"].to_numpy(dtype=np.float64)
    is_object = ~truth.annotations["iscrowd"].to_numpy(dtype=bool)
    counts = is_object & (area >= least) & (area <= most)
    return BoxMatches(
        n_images=len(truth.images),
        n_categories=len(truth.categories),
        image=matching.image[order],
        category=matching.category[order],
        score=matching.score[order],
        hit=hit[order],
        object_image=matching.object_image[counts],
        object_category=matching.object_category[counts],
        found_score=found_score[counts],
    )


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
    first = np.searchsorted(hits / n_objects, RECALLS, side="left")
    return float(best[first[first < n]].sum() / len(RECALLS))
