"""Where an ensemble differs from one of its members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.diagnostics.diversity import boxes_by_group
from recycling.ensembling.classes.probabilities import aligned_probabilities
from recycling.ensembling.masks.image_members import check_same_images, stacked
from recycling.predictions import DETECTIONS, ClassProbabilities, Detections, LabelMaps
from recycling.tables import Column, Schema

Changes = NewType("Changes", pd.DataFrame)
"""One row an image or crop, the most changed first; schema `CHANGES`."""

CHANGES = Schema(
    "changes",
    (
        Column("item_id", "int64", "the image, or of classes the crop's annotation", unique=True),
        Column("change", "float64", "0 where both say the same", minimum=0, maximum=1),
    ),
)

_NAMES = ("the member", "the ensemble")


def detection_changes(
    member: Detections,
    ensemble: Detections,
    *,
    iou_threshold: float = 0.5,
    member_threshold: float = 0.3,
    ensemble_threshold: float = 0.3,
) -> Changes:
    """The share of boxes on each image that match no box of the other.

    Args:
        member: One member's detections.
        ensemble: The ensemble's.
        iou_threshold: Boxes of one category match if their intersection over union is this or more.
        member_threshold: The member's boxes below this score are left out.
        ensemble_threshold: The ensemble's boxes below this score are left out. Fusing lowers the
            scores of boxes that few members found, so this may be lower.

    Returns:
        Images on which either has a box, those with the most unmatched boxes first;
        schema `CHANGES`.

    Raises:
        TableError: Either is not a table of detections.

    >>> boxes = pd.DataFrame({"image_id": [1, 1], "category_id": 7, "score": [0.9, 0.6]}).assign(
    ...     x_min=[0.0, 50.0], y_min=0.0, x_max=[40.0, 90.0], y_max=40.0
    ... )
    >>> detection_changes(Detections(boxes), Detections(boxes[:1]))["change"].round(2).tolist()
    [0.33]
    """
    from recycling.diagnostics import _match_kernels

    tables = [
        DETECTIONS.conform(table, where=name)
        for table, name in zip((member, ensemble), _NAMES, strict=True)
    ]
    a, b = (
        table[table["score"] >= threshold]
        for table, threshold in zip(tables, (member_threshold, ensemble_threshold), strict=True)
    )
    if len(a) + len(b) == 0:
        return Changes(CHANGES.empty())
    group_image, (pointer_a, boxes_a), (pointer_b, boxes_b) = boxes_by_group(a, b)
    n_matches = _match_kernels.count_matches(
        pointer_a, boxes_a, pointer_b, boxes_b, float(iou_threshold)
    )
    images, image_of_group = np.unique(group_image, return_inverse=True)
    n_boxes = np.bincount(image_of_group, np.diff(pointer_a) + np.diff(pointer_b))
    unmatched = n_boxes - 2 * np.bincount(image_of_group, n_matches)
    return _ranked(images, unmatched / n_boxes, by=unmatched)


def label_map_changes(member: LabelMaps, ensemble: LabelMaps) -> Changes:
    """The share of pixels of each image that have another label.

    One image's maps are in memory at a time.

    Args:
        member: One member's label maps.
        ensemble: The ensemble's, of the same images; the member's are compared in their size.

    Returns:
        Every image; schema `CHANGES`.

    Raises:
        EnsemblingError: One lacks an image that the other has.
    """
    check_same_images([member, ensemble], _NAMES)
    images = list(ensemble)
    change = []
    for image_id in images:
        after, before = stacked([ensemble, member], image_id)
        change.append(float((after != before).mean()))
    return _ranked(images, change)


def probability_changes(member: ClassProbabilities, ensemble: ClassProbabilities) -> Changes:
    """How far the probabilities of each crop moved, if its most likely class is another one.

    Args:
        member: One member's class probabilities.
        ensemble: The ensemble's, of the same crops and classes.

    Returns:
        Every crop; schema `CHANGES`. The change is the probability that moved from some classes to
        others (half the sum of absolute differences), and 0 where the most likely class is the
        same.

    Raises:
        EnsemblingError: They differ in crops or classes.
        TableError: Either is not a table of class probabilities.

    >>> a = pd.DataFrame({"annotation_id": [1, 2], "Metal": [0.75, 0.25], "Glass": [0.25, 0.75]})
    >>> b = pd.DataFrame({"annotation_id": [1, 2], "Metal": [0.75, 0.75], "Glass": [0.25, 0.25]})
    >>> probability_changes(ClassProbabilities(a), ClassProbabilities(b))
       item_id  change
    0        2     0.5
    1        1     0.0
    """
    crops, _, probabilities = aligned_probabilities([member, ensemble], _NAMES)
    before, after = probabilities.astype(np.float64)
    other = before.argmax(axis=1) != after.argmax(axis=1)
    moved = np.abs(before - after).sum(axis=1) / 2
    return _ranked(crops, np.where(other, np.clip(moved, 0, 1), 0))


def _ranked(
    item_ids: Sequence[int] | NDArray[np.int64],
    change: Sequence[float] | NDArray[np.float64],
    by: NDArray[np.number] | None = None,
) -> Changes:
    """The table, those first for which `by` is largest; the change itself where it is None."""
    frame = pd.DataFrame({"item_id": item_ids, "change": change})
    order = np.lexsort((frame["item_id"], -np.asarray(change if by is None else by)))
    return Changes(CHANGES.conform(frame.iloc[order], where="changes"))
