"""Fusing the masks of instances along with their boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recycling.annotations.core import AnnotationError
from recycling.annotations.masks import mask_to_segmentation, segmentation_rle
from recycling.ensembling.members import EnsemblingError

SEGMENTATION = "segmentation"

_HALF = 0.5 * (1 - 1e-9)  # sums of votes are rounded, and half of them is enough


def fused_segmentations(
    image_ids: NDArray[np.int64],
    cluster: NDArray[np.int64],
    segmentations: NDArray[np.object_],
    votes: NDArray[np.float64],
    names: NDArray[np.str_],
) -> NDArray[np.object_]:
    """The masks of fused boxes.

    Each mask votes for its pixels with its box's score times its member's weight. The fused mask
    is of the pixels that at least half of all votes of the cluster are for; boxes without a mask
    have no vote. A mask that is alone in its cluster stays as it is, to the letter.

    Args:
        image_ids: (fused,), the image of each fused box, for messages.
        cluster: (boxes,), for each box of a member, the fused box that it became part of.
        segmentations: (boxes,), its mask as COCO RLE in JSON; None where it has none.
        votes: (boxes,), its score times its member's weight.
        names: (boxes,), its member, for messages.

    Returns:
        (fused,), COCO RLE as JSON text; None where no box of a cluster has a mask.

    Raises:
        EnsemblingError: Masks of one cluster differ in size, or a mask is damaged.
    """
    voters = np.flatnonzero([text is not None for text in segmentations])
    voters = voters[np.argsort(cluster[voters], kind="stable")]
    first = np.searchsorted(cluster[voters], np.arange(len(image_ids) + 1))
    masks = np.full(len(image_ids), None, dtype=object)
    for fused in np.flatnonzero(np.diff(first)):
        own = voters[first[fused] : first[fused + 1]]
        try:
            masks[fused] = fused_mask(segmentations[own].tolist(), votes[own])
        except (AnnotationError, EnsemblingError) as error:
            raise EnsemblingError(
                f"{', '.join(dict.fromkeys(names[own]))}, image {image_ids[fused]}: {error}"
            ) from error
    return masks


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
    fused = np.zeros((height, width), dtype=np.bool_, order="F")
    if left < right and top < bottom:
        # Columns first, as pycocotools has its pixels, and only where there are any.
        drawn = coco_mask.decode(rles)[top:bottom, left:right]
        fused[top:bottom, left:right] = drawn @ votes >= _HALF * votes.sum()
    return mask_to_segmentation(fused)


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
