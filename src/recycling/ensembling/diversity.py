"""How much the members of an ensemble say the same.

An ensemble gains from members that err in different places. An agreement near 1 means that a
member adds little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.labels import aligned_probabilities
from recycling.ensembling.masks import check_same_images, stacked
from recycling.ensembling.members import member_names
from recycling.predictions import (
    DETECTIONS,
    ClassProbabilities,
    Detections,
    LabelMaps,
)
from recycling.tables import Column, Schema

Agreement = NewType("Agreement", pd.DataFrame)
"""One row a pair of members; schema `AGREEMENT`."""

AGREEMENT = Schema(
    "agreement",
    (
        Column("member_a", "string", "one member of the ensemble"),
        Column("member_b", "string", "another one"),
        Column("agreement", "float64", "share on which they say the same", minimum=0, maximum=1),
    ),
)


def probability_agreement(
    members: Sequence[ClassProbabilities], *, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """The share of crops for which two classifiers hold the same class most likely.

    Args:
        members: One table a member, of the same crops and classes.
        names: What to call the members.

    Returns:
        One row a pair of members; schema `AGREEMENT`. 1 where there are no crops.

    Raises:
        EnsemblingError: The members differ in crops or classes.
        TableError: A member is not a table of class probabilities.
    """
    called = member_names(names, len(members))
    _, _, probabilities = aligned_probabilities(members, called)
    chosen = probabilities.argmax(axis=2)
    n_crops = chosen.shape[1]

    def agreement(a: int, b: int) -> float:
        return float((chosen[a] == chosen[b]).mean()) if n_crops else 1.0

    return _pairs(called, agreement)


def label_map_agreement(
    members: Sequence[LabelMaps], *, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """The share of pixels, over all images, to which two segmentation models give one label.

    One image's maps are in memory at a time.

    Args:
        members: The label maps of each member, of the same images; where sizes differ, in the size
            of the first member's.
        names: What to call the members.

    Returns:
        One row a pair of members; schema `AGREEMENT`. 1 where there are no images.

    Raises:
        EnsemblingError: A member lacks an image that another has.
    """
    called = member_names(names, len(members))
    check_same_images(members, called)
    n_members = len(members)
    same = np.zeros((n_members, n_members), dtype=np.int64)
    n_pixels = 0
    for image_id in members[0]:
        label_maps = stacked(members, image_id)
        n_pixels += label_maps[0].size
        for a, b in combinations(range(n_members), 2):
            same[a, b] += np.count_nonzero(label_maps[a] == label_maps[b])
    return _pairs(called, lambda a, b: float(same[a, b] / n_pixels) if n_pixels else 1.0)


def detection_agreement(
    members: Sequence[Detections],
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The share of two detectors' boxes that pair off.

    Boxes of one category on one image pair off one to one, those that overlap most first. The
    agreement is twice the pairs over the boxes of both, which is the F1 score of either one with
    the other as truth.

    Args:
        members: One table of detections a member.
        iou_threshold: Boxes pair off if their intersection over union is this or more.
        score_threshold: Boxes below this score are left out. A detector that keeps very many weak
            boxes seems to disagree with everyone without it.
        names: What to call the members.

    Returns:
        One row a pair of members; schema `AGREEMENT`. 1 where neither has a box.

    Raises:
        EnsemblingError: No members, or not one name a member.
        TableError: A member is not a table of detections.
    """
    called = member_names(names, len(members))
    tables = [
        DETECTIONS.conform(member, where=name) for member, name in zip(members, called, strict=True)
    ]
    tables = [table[table["score"] >= score_threshold] for table in tables]
    return _pairs(called, lambda a, b: _paired_share(tables[a], tables[b], iou_threshold))


def _pairs(names: Sequence[str], agreement: Callable[[int, int], float]) -> pd.DataFrame:
    rows = [(names[a], names[b], agreement(a, b)) for a, b in combinations(range(len(names)), 2)]
    return AGREEMENT.conform(pd.DataFrame(rows, columns=AGREEMENT.names), where="agreement")


def _paired_share(a: pd.DataFrame, b: pd.DataFrame, iou_threshold: float) -> float:
    if len(a) + len(b) == 0:
        return 1.0
    from recycling.ensembling import _box_kernels

    keys = ["image_id", "category_id"]
    groups: NDArray[np.int64] = (
        pd.concat([a[keys], b[keys]]).groupby(keys).ngroup().to_numpy().astype(np.int64)
    )
    n_groups = int(groups.max()) + 1
    n_pairs = _box_kernels.count_matches(
        *_by_group(a, groups[: len(a)], n_groups),
        *_by_group(b, groups[len(a) :], n_groups),
        float(iou_threshold),
    )
    return 2 * int(n_pairs) / (len(a) + len(b))


def _by_group(
    table: pd.DataFrame, group: NDArray[np.int64], n_groups: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where each group begins, (groups + 1,), and the boxes group by group, (boxes, 4)."""
    order = np.argsort(group, kind="stable")
    pointer = np.searchsorted(group[order], np.arange(n_groups + 1)).astype(np.int64)
    boxes = table[["x_min", "y_min", "x_max", "y_max"]].to_numpy(dtype=np.float64)
    return pointer, np.ascontiguousarray(boxes[order])
