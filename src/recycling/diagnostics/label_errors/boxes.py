"""Errors of boxes: another category, an object without a box, a box elsewhere, one around nothing.

Source: ObjectLab (Tkachenko, Thyagarajan and Mueller, 2023, arXiv 2309.00832): its similarity, and
its scores of swapped, badly located and overlooked boxes. Two things are other here. It counts the
detections of a score of 0.95 and up (0.5 for places); here each counts by its calibrated score, as
those of a small detector rarely come near 0.95. And it does not look for boxes around nothing: what
a detector misses is told from what is not there by how well it usually sees that category, as
confident learning does (Northcutt et al., 2021, arXiv 1911.00068).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations
from recycling.diagnostics.label_errors.core import (
    NEW_BOX,
    LabelErrors,
    areas,
    candidates,
    intersections,
    iou,
    usual,
)
from recycling.evaluation import EvaluationError
from recycling.predictions import DETECTIONS, Detections

IOU_WEIGHT = 0.9
"""What the intersection over union counts in the similarity; the rest is the distance."""

ONE_PLACE = 0.6
"""The intersection over union from which on detections of a detector are of one object."""

_LEAST_SCORE = 0.01  # of a detection that says anything; a detector keeps very many below it
_LEAST_MISSED = 0.1  # of an object that may be missing: there are as many weak detections as labels
_CLAIMED = 0.25  # likeness from which on the place that is most like a label is that label's


def box_label_errors(truth: Annotations, detections: Detections) -> LabelErrors:
    """Rank the boxes of images, and objects that have none, by what detectors say of them.

    Args:
        truth: The images and their labels. Crowd regions are not judged, and nothing is missing in
            them.
        detections: What models that have not seen these labels find on them. Their scores should
            be calibrated: the share of such detections that are right.

    Returns:
        A row for each label and kind of error but ``missed``, and one for each object that may be
        missing; schema `recycling.diagnostics.LABEL_ERRORS`.

    Raises:
        EvaluationError: A detection is on an image or of a category that the truth does not know.

    >>> from recycling.annotations import from_coco
    >>> image = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 20}
    >>> can = {"id": 5, "image_id": 1, "category_id": 0, "bbox": [0, 0, 10, 10]}
    >>> names = [{"id": 0, "name": "Glass"}, {"id": 1, "name": "Metal"}]
    >>> document = {"images": [image], "annotations": [can], "categories": names}
    >>> found = pd.DataFrame([[1, 1, 0.75, 0, 0, 10, 10]], columns=DETECTIONS.names)
    >>> errors = box_label_errors(from_coco(document, where="example"), Detections(found))
    >>> errors[["quality", "kind", "new_category"]].head(1).to_numpy().tolist()
    [[0.25, 'wrong_class', 'Metal']]
    """
    images = list(_images(truth, detections))
    if not images:
        return candidates(truth, {})
    names = truth.categories["name"].to_numpy(dtype=object)
    support = np.concatenate([image.support for image in images])
    likeness = np.concatenate([image.likeness for image in images])
    category = np.concatenate([image.category for image in images])
    area = np.concatenate([areas(image.boxes) for image in images])
    ends = np.cumsum([len(image.boxes) for image in images])[:-1]
    of_support, of_likeness = (
        np.split(usual(values, category, area, len(names)), ends) for values in (support, likeness)
    )
    parts: list[dict[str, Any]] = []
    for image, own_support, own_likeness in zip(images, of_support, of_likeness, strict=True):
        parts += image.rows(own_support, own_likeness, names)
    # Objects: in a column of floats with gaps, large ids would lose their last digits.
    return candidates(truth, pd.DataFrame(parts, dtype=object) if parts else {})


def similarity(
    a: NDArray[np.float64], b: NDArray[np.float64], diagonal: float
) -> NDArray[np.float64]:
    """How alike boxes (N, 4) are to boxes (M, 4), from 0 to 1; (N, M).

    ObjectLab's: a weighted mean of the intersection over union and the closeness of the centres,
    which also orders boxes that do not overlap. Here the distance is a share of the diagonal.

    Args:
        a: Pixels.
        b: Pixels.
        diagonal: Of the image, pixels.

    >>> a, b = np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 2, 2], [6, 0, 8, 2]])
    >>> similarity(a, b, 12.0).round(3).tolist()
    [[1.0, 0.05]]
    """
    centres = (a[:, None, :2] + a[:, None, 2:]) / 2 - (b[:, :2] + b[:, 2:]) / 2
    closeness = 1 - np.minimum(np.hypot(centres[..., 0], centres[..., 1]) / diagonal, 1)
    return IOU_WEIGHT * iou(a, b) + (1 - IOU_WEIGHT) * closeness


@dataclass(frozen=True)
class _Image:
    """One image: its labels, the places where something is detected, and how they lie.

    A place is a group of detections on one another: one object, of one of several categories.

    Attributes:
        image_id: The image.
        annotation_id: (labels,).
        boxes: (labels, 4), pixels.
        category: (labels,), the row of each label's category.
        places: (places, 4), the box of the best detection at each.
        scores: (places, categories), that something of a category is there.
        similarity: (labels, places), 0 where the place is more like another label.
        inside: (places,), the greatest share of a place inside one label or crowd region.
    """

    image_id: int
    annotation_id: NDArray[np.int64]
    boxes: NDArray[np.float64]
    category: NDArray[np.intp]
    places: NDArray[np.float64]
    scores: NDArray[np.float64]
    similarity: NDArray[np.float64]
    inside: NDArray[np.float64]

    @property
    def certain(self) -> NDArray[np.float64]:
        """That anything is at each place: it is of one category only, so the scores add up."""
        return np.asarray(np.minimum(self.scores.sum(axis=1), 1))

    @property
    def evidence(self) -> NDArray[np.float64]:
        """(labels, categories), that each label shows each category."""
        if not len(self.places):
            return np.zeros((len(self.boxes), self.scores.shape[1]))
        return np.asarray((self.similarity[:, :, None] * self.scores).max(axis=1))

    @property
    def support(self) -> NDArray[np.float64]:
        """(labels,), that each label is around something."""
        return np.asarray((self.similarity * self.certain).max(axis=1, initial=0))

    @property
    def likeness(self) -> NDArray[np.float64]:
        """(labels,), how alike each label is to what is surest at it; 0 where nothing is."""
        if not len(self.places):
            return np.zeros(len(self.boxes))
        best = (self.similarity * self.certain).argmax(axis=1)
        return np.asarray(self.similarity[np.arange(len(best)), best])

    def rows(
        self, support: NDArray[np.float64], likeness: NDArray[np.float64], names: NDArray[Any]
    ) -> list[dict[str, Any]]:
        """The candidates of this image, by what is usual for each label."""
        return [
            *self._wrong(names),
            *self._elsewhere(likeness, names),
            *self._spurious(support, names),
            *self._missed(names),
        ]

    def _label(self, i: int, names: NDArray[Any], **further: Any) -> dict[str, Any]:
        return {
            "image_id": self.image_id,
            "annotation_id": int(self.annotation_id[i]),
            "category": names[self.category[i]],
            **dict(zip(BOX, self.boxes[i].tolist(), strict=True)),
            **further,
        }

    def _wrong(self, names: NDArray[Any]) -> Iterator[dict[str, Any]]:
        """ObjectLab's swapped score, less what speaks for the label's own category."""
        evidence = self.evidence
        own = np.arange(len(self.boxes)), self.category
        others = evidence.copy()
        others[own] = -1
        new, margin = others.argmax(axis=1), others.max(axis=1, initial=0) - evidence[own]
        for i, quality in enumerate(1 - np.maximum(margin, 0)):
            says = f"det: {names[new[i]]} {others[i].max():.2f}, {evidence[own][i]:.2f} as labelled"
            yield self._label(
                i, names, kind="wrong_class", quality=quality, new_category=names[new[i]],
                models=says,
            )  # fmt: skip

    def _elsewhere(
        self, expected: NDArray[np.float64], names: NDArray[Any]
    ) -> Iterator[dict[str, Any]]:
        """ObjectLab's badly located score, as far as it is lower than usual, if something is there.

        Detectors place what is small, or slender, less exactly.
        """
        if not len(self.places):
            return
        certain, likeness = self.certain, self.likeness
        best = (self.similarity * certain).argmax(axis=1)
        for i, place in enumerate(best):
            if likeness[i] == 0:  # nothing is detected near it
                continue
            quality = 1 - certain[place] * max(expected[i] - likeness[i], 0)
            says = f"something {certain[place]:.2f}, likeness {likeness[i]:.2f}"
            yield self._label(
                i, names, kind="badly_placed", quality=quality,
                **dict(zip(NEW_BOX, self.places[place].tolist(), strict=True)),
                models=f"det: {says}, usually {expected[i]:.2f}",
            )  # fmt: skip

    def _spurious(
        self, expected: NDArray[np.float64], names: NDArray[Any]
    ) -> Iterator[dict[str, Any]]:
        """How far what is detected falls short of what usually is in such boxes."""
        support = self.support
        for i, short in enumerate(np.maximum(expected - support, 0)):
            says = f"det: something {support[i]:.2f}, usually {expected[i]:.2f}"
            yield self._label(i, names, kind="spurious", quality=1 - short, models=says)

    def _missed(self, names: NDArray[Any]) -> list[dict[str, Any]]:
        """ObjectLab's overlooked score, of places that no label is at."""
        certain = self.certain * (1 - self.inside)
        if len(self.boxes) and len(self.places):
            best = (self.similarity * self.certain).argmax(axis=1)
            claimed = self.similarity[np.arange(len(best)), best] >= _CLAIMED
            certain[best[claimed]] = 0  # a label is there, if badly placed
        return [
            {
                "image_id": self.image_id,
                "annotation_id": None,
                "kind": "missed",
                "quality": 1 - certain[place],
                **dict(zip(BOX, self.places[place].tolist(), strict=True)),
                "new_category": names[self.scores[place].argmax()],
                "models": f"det: {names[self.scores[place].argmax()]} {self.certain[place]:.2f}",
            }
            for place in np.flatnonzero(certain >= _LEAST_MISSED)
        ]


def _images(truth: Annotations, detections: Detections) -> Iterator[_Image]:
    """What is labelled and detected, image by image."""
    table = DETECTIONS.conform(detections, where="detections")
    known = pd.Index(truth.images["image_id"])
    categories = pd.Index(truth.categories["category_id"])
    for column, ids in (("image_id", known), ("category_id", categories)):
        strange = table[column][~table[column].isin(ids)]
        if len(strange):
            raise EvaluationError(
                f"detections: {column} {strange.iloc[0]} is not in the truth; {len(strange)} of "
                f"{len(table)} rows are like that"
            )
    table = table[table["score"] >= _LEAST_SCORE].sort_values(
        ["score", *BOX], ascending=False, kind="stable"
    )
    found = dict(iter(table.groupby("image_id")))
    labels = dict(iter(truth.annotations.groupby("image_id")))
    sizes = truth.images[["image_id", "width", "height"]].to_numpy().tolist()
    for image_id, width, height in sizes:
        rows = labels.get(image_id, truth.annotations.iloc[:0])
        own = found.get(image_id, table.iloc[:0])
        places, scores = merged_places(
            own[BOX].to_numpy(dtype=np.float64),
            own["score"].to_numpy(),
            categories.get_indexer(own["category_id"]),
            len(categories),
        )
        is_crowd = rows["iscrowd"].to_numpy(dtype=bool)
        every = rows[BOX].to_numpy(dtype=np.float64)
        boxes = every[~is_crowd]
        alike = similarity(boxes, places, float(np.hypot(width, height)))
        alike[(alike < alike.max(axis=0, initial=0)) | (iou(boxes, places) == 0)] = 0
        share = intersections(every, places) / np.maximum(areas(places), 1e-9)
        yield _Image(
            image_id,
            rows["annotation_id"].to_numpy()[~is_crowd],
            boxes,
            categories.get_indexer(rows["category_id"])[~is_crowd],
            places,
            scores,
            alike,
            np.minimum(share.max(axis=0, initial=0), 1),
        )


def merged_places(
    boxes: NDArray[np.float64],
    score: NDArray[np.float64],
    category: NDArray[np.intp],
    n_classes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Detections on one another, whatever their categories, as one place each.

    Args:
        boxes: (n, 4), pixels, the best first.
        score: (n,).
        category: (n,), the row of each category.
        n_classes: How many there are.

    Returns:
        (places, 4), the box of each place's best detection, and (places, n_classes), the best
        score of each category there.

    >>> boxes = np.array([[0.0, 0, 2, 2], [0, 0, 2, 2.2], [5, 5, 6, 6]])
    >>> places, scores = merged_places(boxes, np.array([0.6, 0.3, 0.2]), np.array([1, 0, 1]), 2)
    >>> scores.tolist()
    [[0.3, 0.6], [0.0, 0.2]]
    """
    kept: list[int] = []
    scores: list[NDArray[np.float64]] = []
    left = np.arange(len(boxes))
    while len(left):
        here = iou(boxes[left[:1]], boxes[left])[0] >= ONE_PLACE
        here[0] = True
        of_class = np.zeros(n_classes)
        np.maximum.at(of_class, category[left[here]], score[left[here]])
        kept.append(int(left[0]))
        scores.append(of_class)
        left = left[~here]
    return boxes[kept], np.reshape(np.array(scores), (len(kept), n_classes))
