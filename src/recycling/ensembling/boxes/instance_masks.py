"""Fusing the masks of instances along with their boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import AnnotationError
from recycling.annotations.masks import rle_to_segmentation, segmentation_rle
from recycling.ensembling.members import EnsemblingError

if TYPE_CHECKING:
    from recycling.ensembling.boxes.tables import BoxTables

SEGMENTATION = "segmentation"

_HALF = 0.5 * (1 - 1e-9)  # sums of votes are rounded, and half of them is enough


def fused_segmentations(
    fused: pd.DataFrame, place: NDArray[np.int64], boxes: BoxTables
) -> pd.Series:
    """The masks of fused boxes.

    Each mask votes for its pixels with its box's score times its member's weight. The fused mask
    is of the pixels that at least half of all votes of the cluster are for; boxes without a mask
    have no vote. A mask that is alone in its cluster stays as it is, to the letter.

    Args:
        fused: The fused boxes.
        place: (rows,), for each row of the members, one member after the other, the row of `fused`
            that it became part of, or -1.
        boxes: The members' tables.

    Returns:
        COCO RLE as JSON text, one a row of `fused`; missing where no box of a cluster has a mask.

    Raises:
        EnsemblingError: Masks of one cluster differ in size, or a mask is damaged.
    """
    texts = pd.concat(
        [
            table[SEGMENTATION].astype("string")
            if SEGMENTATION in table.columns
            else pd.Series(pd.NA, index=table.index, dtype="string")
            for table in boxes.tables
        ],
        ignore_index=True,
    )
    voters = np.flatnonzero((place >= 0) & texts.notna().to_numpy())
    voters = voters[np.argsort(place[voters], kind="stable")]
    votes = _votes(voters, boxes)
    first = np.searchsorted(place[voters], np.arange(len(fused) + 1))
    result = np.full(len(fused), None, dtype=object)
    for row in np.flatnonzero(np.diff(first)):
        own = slice(first[row], first[row + 1])
        own_texts = texts.iloc[voters[own]].tolist()
        try:
            result[row] = fused_mask(own_texts, votes[own])
        except (AnnotationError, EnsemblingError) as error:
            raise EnsemblingError(
                f"{_where(voters[own], boxes)}, image {fused['image_id'].iloc[row]}: {error}"
            ) from error
    return pd.Series(result, index=fused.index, dtype="string")


def fused_mask(segmentations: Sequence[str], votes: NDArray[np.float64]) -> str:
    """The pixels that at least half of the votes are for.

    Args:
        segmentations: (masks,), COCO RLE as JSON text, all of one size.
        votes: (masks,), how much each counts; where all are 0, each counts the same.

    Returns:
        The mask as COCO RLE in JSON.

    Raises:
        EnsemblingError: The masks differ in size.
        AnnotationError: A mask is damaged.
    """
    if len(set(segmentations)) == 1:
        return segmentations[0]
    from pycocotools import mask as coco_mask

    height, width = _size(segmentations)
    rles = [segmentation_rle(text, height, width) for text in segmentations]
    if not votes.any():
        votes = np.ones_like(votes)
    left, top, right, bottom = _around(coco_mask.toBbox(rles))
    fused = np.zeros((height, width), dtype=np.uint8, order="F")
    if left < right and top < bottom:
        # Columns first, as pycocotools has its pixels, and only where there are any.
        drawn = coco_mask.decode(rles)[top:bottom, left:right]
        fused[top:bottom, left:right] = drawn @ votes >= _HALF * votes.sum()
    return rle_to_segmentation(coco_mask.encode(fused))


def _votes(voters: NDArray[np.int64], boxes: BoxTables) -> NDArray[np.float64]:
    """(voters,) scores times weights, of rows counted over all members."""
    kernel = boxes.kernel
    votes = np.empty(len(voters))
    member = _member_of(voters, boxes)
    for number, (category, score, *_) in enumerate(boxes.columns):
        own = member == number
        row = voters[own] - kernel.member_start[number]
        weights = kernel.weights[category[row] - kernel.lowest_category, number]
        votes[own] = score[row] * weights
    return votes


def _where(voters: NDArray[np.int64], boxes: BoxTables) -> str:
    """The members whose boxes a cluster has, for a message."""
    return ", ".join(boxes.names[number] for number in np.unique(_member_of(voters, boxes)))


def _member_of(rows: NDArray[np.int64], boxes: BoxTables) -> NDArray[np.int64]:
    return np.asarray(np.searchsorted(boxes.kernel.member_start, rows, side="right") - 1)


def _size(segmentations: Sequence[str]) -> tuple[int, int]:
    """Height and width of all of some masks."""
    sizes = set()
    for text in segmentations:
        parsed = json.loads(text)
        if not isinstance(parsed, dict):
            raise EnsemblingError("a segmentation is not COCO RLE; give masks as RLE to fuse them")
        sizes.add(tuple(parsed["size"]))
    if len(sizes) > 1:
        listed = " and ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise EnsemblingError(f"masks are of {listed} pixels; masks of one image have one size")
    height, width = sizes.pop()
    return int(height), int(width)


def _around(boxes: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """The box around some boxes (x, y, width, height): left, top, right, bottom."""
    boxes = boxes[(boxes[:, 2:] > 0).all(axis=1)]
    if len(boxes) == 0:
        return 0, 0, 0, 0
    left, top = boxes[:, :2].min(axis=0).astype(int)
    right, bottom = np.ceil((boxes[:, :2] + boxes[:, 2:]).max(axis=0)).astype(int)
    return int(left), int(top), int(right), int(bottom)
