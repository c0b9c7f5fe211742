"""What became of detections, part by part of the images, and the average precision of them all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import IO

import numpy as np
from numpy.typing import NDArray

from recycling.evaluation.box_matching import RECALLS, Matching, by_category, n_threads


@dataclass(frozen=True)
class _Kept:
    """Where the detections of one category in one part are: scores, then threshold by threshold."""

    start: int
    n: int


class Outcomes:
    """Scores and outcomes of detections, by category.

    Args:
        file: Takes them, and gives them back; empty.
        n_thresholds: How many overlaps detections were matched at.
        n_ranges: How many ranges of area.
        n_categories: How many categories the truth has.
    """

    def __init__(
        self, file: IO[bytes], n_thresholds: int, n_ranges: int, n_categories: int
    ) -> None:
        self._shape = (n_thresholds, n_ranges)
        self._kept: list[list[_Kept]] = [[] for _ in range(n_categories)]
        self._file = file
        self._lock = Lock()
        self.n_objects: NDArray[np.int64] = np.zeros((n_ranges, n_categories), dtype=np.int64)

    def add(self, matching: Matching) -> None:
        """Keep what became of the detections on some images, which come after those before."""
        order, offsets = by_category(matching.category, matching.score, len(self._kept))
        for kept, first, last in zip(self._kept, offsets[:-1], offsets[1:], strict=True):
            if first < last:
                own = order[first:last]
                kept.append(_Kept(self._file.tell(), len(own)))
                self._file.write(matching.score[own].tobytes())
                for outcome in matching.outcome:
                    self._file.write(outcome[:, own].tobytes())
        self.n_objects += matching.n_objects

    def average_precision(self) -> NDArray[np.float64]:
        """COCO's average precision: the mean of the interpolated precision at 101 recalls.

        Returns:
            (thresholds, ranges, categories), NaN where there is nothing to find.
        """
        from recycling.evaluation.box_kernels import average_precisions

        result = np.empty((*self._shape, len(self._kept)))

        def at_threshold(threshold: int) -> None:
            outcome = np.empty((1, self._shape[1], len(order)), dtype=np.uint8)
            for part, place in zip(kept, places, strict=True):
                outcome[0, :, place] = self._outcome(part, threshold)
            one = result[threshold : threshold + 1, :, own]
            average_precisions(order, bounds, outcome, self.n_objects[:, own], RECALLS, one)

        with ThreadPoolExecutor(n_threads()) as threads:
            for category, kept in enumerate(self._kept):
                own = slice(category, category + 1)
                ends = np.cumsum([0, *(part.n for part in kept)]).tolist()
                places = [slice(*each) for each in pairwise(ends)]
                order = self._best_first(kept, places, ends[-1])
                bounds = np.array([0, len(order)])
                list(threads.map(at_threshold, range(self._shape[0])))
        return result

    def _best_first(self, kept: list[_Kept], places: list[slice], n: int) -> NDArray[np.int64]:
        """The detections of a category, highest score first; equals stay in order."""
        negative = np.empty(n)
        for part, place in zip(kept, places, strict=True):
            np.negative(np.frombuffer(self._read(part.start, 8 * part.n)), out=negative[place])
        return np.argsort(negative, kind="stable")

    def _outcome(self, part: _Kept, threshold: int) -> NDArray[np.uint8]:
        """(ranges, detections)."""
        size = self._shape[1] * part.n
        content = self._read(part.start + 8 * part.n + threshold * size, size)
        return np.frombuffer(content, dtype=np.uint8).reshape(self._shape[1], part.n)

    def _read(self, start: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)
