"""Whether two predictions of the same images are the same, but for the rounding of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from recycling.annotations import BOX
from recycling.backends.shared.model import Task
from recycling.predictions import ClassProbabilities, Detections, Predictions

Planes: TypeAlias = tuple[int, NDArray[np.float32]]
"""The id of an image, and what is said of its pixels: (classes, H, W)."""

TOLERANCE = 1e-4
"""The most that a score may differ by, and labels in shares of all."""

BOX_TOLERANCE = 0.005
"""The most that an edge of a box may differ by, pixels."""


@dataclass(frozen=True)
class Parity:
    """How far two predictions are from one another.

    Attributes:
        n: Images, boxes or crops that were compared.
        score: The largest difference of scores or probabilities.
        box: The largest difference of edges, pixels.
        labels: The share of boxes that only one has, or of pixels with another label.
    """

    n: int
    score: float = 0.0
    box: float = 0.0
    labels: float = 0.0

    @property
    def is_same(self) -> bool:
        """Whether nothing differs by more than `TOLERANCE` and `BOX_TOLERANCE`."""
        return self.score <= TOLERANCE and self.box <= BOX_TOLERANCE and self.labels <= TOLERANCE

    def __str__(self) -> str:
        """Its figures on one line."""
        return (
            f"{self.n:,} compared, scores differ by {self.score:.1e} at most, boxes by "
            f"{self.box:.1e} pixels, labels in {self.labels:.2%}"
        )


def compare(expected: Predictions, found: Predictions, task: Task) -> Parity:
    """How far classes or boxes are from those that are expected.

    Args:
        expected: Of the library.
        found: Of the exported model.
        task: ``cls`` or ``det``.
    """
    if task == "cls":
        return _of_classes(cast(ClassProbabilities, expected), cast(ClassProbabilities, found))
    return _of_boxes(cast(Detections, expected), cast(Detections, found))


def compare_pixels(expected: Iterable[Planes], found: Iterable[Planes]) -> Parity:
    """How far the probabilities of pixels are from those that are expected, and their labels.

    Args:
        expected: Of the library: the id of each image, and (classes, H, W).
        found: Of the exported model, of the same images.

    >>> certain, unsure = np.float32([[[1.0]], [[0.0]]]), np.float32([[[0.75]], [[0.25]]])
    >>> print(compare_pixels([(1, certain)], [(1, unsure)]))
    1 compared, scores differ by 2.5e-01 at most, boxes by 0.0e+00 pixels, labels in 0.00%
    """
    score = 0.0
    differing = pixels = n = 0
    for (image_id, own), (other_id, other) in zip(expected, found, strict=True):
        assert image_id == other_id, "both take images of one size together"
        score = float(np.maximum(score, np.abs(own - other).max()))  # no number stays none
        differing += int((own.argmax(axis=0) != other.argmax(axis=0)).sum())
        pixels += own[0].size
        n += 1
    return Parity(n, score, labels=differing / max(pixels, 1))


def _of_classes(expected: ClassProbabilities, found: ClassProbabilities) -> Parity:
    aligned = found.set_index("annotation_id").loc[expected["annotation_id"]].to_numpy()
    own = expected.set_index("annotation_id").to_numpy()
    return Parity(len(own), float(np.abs(own - aligned).max(initial=0)))


def _of_boxes(expected: Detections, found: Detections) -> Parity:
    """Boxes are matched by image and category, the nearest ones first."""
    columns = [*BOX, "score"]
    others = {key: rows[columns].to_numpy() for key, rows in found.groupby(_WHERE)}
    score = box = 0.0
    missing = 0
    for key, rows in expected.groupby(_WHERE):
        own, other = rows[columns].to_numpy(), others.pop(key, np.zeros((0, 5)))
        far = np.abs(own[:, None] - other[None])
        missing += abs(len(own) - len(other))
        for row in range(min(len(own), len(other))):
            nearest = far[row].max(axis=1).argmin()
            box = float(np.maximum(box, far[row, nearest, :4].max()))
            score = float(np.maximum(score, far[row, nearest, 4]))
            far[:, nearest] = np.inf
    missing += sum(map(len, others.values()))
    n = len(expected)
    return Parity(n, score, box, missing / max(n, 1))


_WHERE = ["image_id", "category_id"]
