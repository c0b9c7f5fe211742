"""Soft-NMS and non-maximum weighted, compiled by numba.

Importing this module imports numba; `recycling.ensembling` does so only when a function needs it.
What these have in common with weighted boxes fusion is in `_fusion_kernels`: `Tables` in, `Output`
out, a stretch of images a call, room that is used again, and the order in which boxes are taken.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from recycling.ensembling._fusion_kernels import (
    AREA,
    BOTTOM,
    CATEGORY,
    FIRST,
    LAST,
    LEFT,
    MEMBER,
    NEXT,
    RIGHT,
    ROW,
    SCORE,
    TOP,
    WEIGHT,
    Output,
    Room,
    Tables,
    _begin,
    _lay_out,
    _most_boxes,
    _most_overlapped,
    _slots_for,
    _write,
    gather,
    in_order,
    key,
    number_of,
    room_for,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LINEAR, GAUSSIAN, NMS = range(3)

BLOCK = 32
"""How many boxes are compared at once: enough that the compiler makes vector instructions of a
loop over them, and few enough that blocks are mostly full."""

# What is summed over the boxes of a cluster after the four edges.
SHARES = 4


class Blocks(NamedTuple):
    """Room for the boxes of an image; those that compete lie in blocks side by side.

    Attributes:
        box: (blocks, 5, BLOCK), edges and area; places that nothing is in overlap nothing.
        score: (blocks, BLOCK), what is left of a score, and negative for boxes that are out.
        bits: The same memory as integers. Those of scores from 0 up are in the order of the
            scores, and the compiler finds the largest of many integers, but not of floats, by
            vector instructions.
        highest: (blocks,), the largest of a block's `bits`, or 0.
        number: (blocks, BLOCK), which box of the image it is.
        first: (categories,), where a category's blocks begin.
        size: (categories,), how many boxes it has.
    """

    box: Floats
    score: Floats
    bits: Ints
    highest: Ints
    number: Ints
    first: Ints
    size: Ints


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def soften(
    tables: Tables,
    first_image: int,
    stop_image: int,
    iou_threshold: float,
    sigma: float,
    score_threshold: float,
    method: int,
    class_agnostic: bool,
    output: Output,
) -> tuple[int, int, int]:
    """Soft-NMS of some images, one after the other; returns what `fuse` does."""
    n_categories = len(tables.weights)
    n_most = _most_boxes(tables, first_image, stop_image)
    room, picked = room_for(n_most), room_for(n_most)
    box, origin, picked_origin = room.box, room.origin, picked.origin
    blocks = _blocks_for(n_most, n_categories)
    first_block, size = blocks.first, blocks.size
    iou = np.empty(BLOCK, np.float64)
    hits = np.empty(BLOCK + 1, np.int64)
    n_flat = 0
    n_bad = 0
    target = tables.box_pointer[first_image]
    for image in range(first_image, stop_image):
        n_boxes, flat, bad = gather(tables, image, 0.0, room)
        n_flat += flat
        n_bad += bad
        keys = in_order(n_boxes, room)
        # Scores only fall: what is not above the threshold now is never picked, and would lower
        # the scores of others only after all that are.
        while n_boxes > 0 and box[number_of(keys[n_boxes - 1]), SCORE] <= score_threshold:
            n_boxes -= 1
        _share_out(keys, n_boxes, class_agnostic, box, origin, blocks)
        # A plain 0 would have what it is handed to compiled twice: for that 0, and for integers.
        n_picked = np.int64(0)
        for place in range(n_boxes):
            group = 0 if class_agnostic else origin[number_of(keys[place]), CATEGORY]
            if size[group] > 0:
                n_picked = _soften_group(
                    blocks,
                    first_block[group],
                    first_block[group] + (size[group] + BLOCK - 1) // BLOCK,
                    iou_threshold,
                    sigma,
                    score_threshold,
                    method,
                    iou,
                    hits,
                    room,
                    picked,
                    n_picked,
                )
                # Its other boxes need not begin it again.
                size[group] = 0
        keys = in_order(n_picked, picked)
        _write(tables, image, picked, keys, n_picked, output, target)
        if len(output.place) > 0:
            for place in range(n_picked):
                number = number_of(keys[place])
                start = tables.member_start[picked_origin[number, MEMBER]]
                output.place[start + picked_origin[number, ROW]] = target + place
        target += n_picked
    return target - tables.box_pointer[first_image], n_flat, n_bad


# numpy's rule for division by 0 lets the compiler look at several clusters at once; no box that
# takes part has an area of 0.
@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def merge(
    tables: Tables,
    first_image: int,
    stop_image: int,
    iou_threshold: float,
    score_threshold: float,
    class_agnostic: bool,
    output: Output,
) -> tuple[int, int, int]:
    """Non-maximum weighted of some images, one after the other; returns what `fuse` does."""
    n_most = _most_boxes(tables, first_image, stop_image)
    room, merged = room_for(n_most), room_for(n_most)
    box, origin = room.box, room.origin
    merged_box, merged_origin, merged_keys = merged.box, merged.origin, merged.keys
    slots = _slots_for(n_most, len(tables.weights))
    best_box, first_slot, n_used = slots.box, slots.first_slot, slots.n_used
    total = np.empty((best_box.shape[1], 5), np.float64)
    chain = np.empty((best_box.shape[1], 2), np.int64)
    taken = np.empty(n_most, np.int64)
    n_flat = 0
    n_bad = 0
    target = tables.box_pointer[first_image]
    for image in range(first_image, stop_image):
        n_boxes, flat, bad = gather(tables, image, score_threshold, room)
        n_flat += flat
        n_bad += bad
        keys = in_order(n_boxes, room)
        _lay_out(n_boxes, class_agnostic, origin, first_slot, n_used)
        n_clusters = 0
        for place in range(n_boxes):
            number = number_of(keys[place])
            group = 0 if class_agnostic else origin[number, CATEGORY]
            first, n_others = first_slot[group], n_used[group]
            slot = _most_overlapped(box, number, best_box, first, n_others, iou_threshold)
            origin[number, NEXT] = -1
            left, top = box[number, LEFT], box[number, TOP]
            right, bottom = box[number, RIGHT], box[number, BOTTOM]
            if slot < 0:
                slot = first + n_others
                n_used[group] += 1
                _begin(box, number, best_box, slot)
                taken[n_clusters] = slot
                n_clusters += 1
                chain[slot, FIRST] = number
                total[slot, LEFT] = left
                total[slot, TOP] = top
                total[slot, RIGHT] = right
                total[slot, BOTTOM] = bottom
                total[slot, SHARES] = 1.0
            else:
                origin[chain[slot, LAST], NEXT] = number
                best_score = box[chain[slot, FIRST], SCORE]
                # Where scores are all 0 the best box stays as it is.
                if best_score > 0.0:
                    width = min(best_box[RIGHT, slot], right) - max(best_box[LEFT, slot], left)
                    height = min(best_box[BOTTOM, slot], bottom) - max(best_box[TOP, slot], top)
                    shared = width * height
                    area = (right - left) * (bottom - top)
                    iou = shared / (best_box[AREA, slot] + area - shared)
                    # Relative to the best box, whose own share is 1.
                    share = box[number, SCORE] / best_score * iou
                    total[slot, LEFT] += share * left
                    total[slot, TOP] += share * top
                    total[slot, RIGHT] += share * right
                    total[slot, BOTTOM] += share * bottom
                    total[slot, SHARES] += share
            chain[slot, LAST] = number
        for cluster in range(n_clusters):
            slot = taken[cluster]
            best = chain[slot, FIRST]
            merged_box[cluster, LEFT] = total[slot, LEFT] / total[slot, SHARES]
            merged_box[cluster, TOP] = total[slot, TOP] / total[slot, SHARES]
            merged_box[cluster, RIGHT] = total[slot, RIGHT] / total[slot, SHARES]
            merged_box[cluster, BOTTOM] = total[slot, BOTTOM] / total[slot, SHARES]
            merged_box[cluster, SCORE] = box[best, SCORE]
            merged_box[cluster, WEIGHT] = 0.0
            merged_origin[cluster, CATEGORY] = origin[best, CATEGORY]
            merged_keys[cluster] = key(box[best, SCORE], cluster)
        keys = in_order(n_clusters, merged)
        _write(tables, image, merged, keys, n_clusters, output, target)
        if len(output.place) > 0:
            for place in range(n_clusters):
                number = chain[taken[number_of(keys[place])], FIRST]
                while number >= 0:
                    row = tables.member_start[origin[number, MEMBER]] + origin[number, ROW]
                    output.place[row] = target + place
                    number = origin[number, NEXT]
        target += n_clusters
    return target - tables.box_pointer[first_image], n_flat, n_bad


@njit(cache=True)  # type: ignore[untyped-decorator]
def _blocks_for(n_boxes: int, n_categories: int) -> Blocks:
    """Room for at most `n_boxes`, whole blocks for each category."""
    n_blocks = n_boxes // BLOCK + min(n_boxes, n_categories) + 1
    score = np.empty((n_blocks, BLOCK), np.float64)
    return Blocks(
        np.empty((n_blocks, 5, BLOCK), np.float64),
        score,
        score.view(np.int64),
        np.empty(n_blocks, np.int64),
        np.empty((n_blocks, BLOCK), np.int64),
        np.zeros(n_categories, np.int64),
        np.zeros(n_categories, np.int64),
    )


@njit(cache=True)  # type: ignore[untyped-decorator]
def _share_out(
    keys: Ints, n_boxes: int, class_agnostic: bool, box: Floats, origin: Ints, blocks: Blocks
) -> None:
    """Put an image's boxes into the blocks of their categories, in the order of the keys."""
    in_block, score, highest = blocks.box, blocks.score, blocks.highest
    bits, number_in, first, size = blocks.bits, blocks.number, blocks.first, blocks.size
    for place in range(n_boxes):
        size[0 if class_agnostic else origin[number_of(keys[place]), CATEGORY]] = 0
    for place in range(n_boxes):
        group = 0 if class_agnostic else origin[number_of(keys[place]), CATEGORY]
        first[group] = -1
        size[group] += 1
    n_blocks = 0
    for place in range(n_boxes):
        number = number_of(keys[place])
        group = 0 if class_agnostic else origin[number, CATEGORY]
        if first[group] < 0:
            first[group] = n_blocks
            n_blocks += (size[group] + BLOCK - 1) // BLOCK
            size[group] = 0
        block, lane = first[group] + size[group] // BLOCK, size[group] % BLOCK
        size[group] += 1
        if lane == 0:
            for other in range(BLOCK):
                in_block[block, LEFT, other] = np.inf
                in_block[block, TOP, other] = np.inf
                in_block[block, RIGHT, other] = -np.inf
                in_block[block, BOTTOM, other] = -np.inf
                in_block[block, AREA, other] = 1.0
                score[block, other] = -1.0
        left, top = box[number, LEFT], box[number, TOP]
        right, bottom = box[number, RIGHT], box[number, BOTTOM]
        in_block[block, LEFT, lane] = left
        in_block[block, TOP, lane] = top
        in_block[block, RIGHT, lane] = right
        in_block[block, BOTTOM, lane] = bottom
        in_block[block, AREA, lane] = (right - left) * (bottom - top)
        score[block, lane] = box[number, SCORE]
        number_in[block, lane] = number
        if lane == 0:
            highest[block] = bits[block, 0]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _soften_group(
    blocks: Blocks,
    first_block: int,
    stop_block: int,
    iou_threshold: float,
    sigma: float,
    score_threshold: float,
    method: int,
    iou: Floats,
    hits: Ints,
    room: Room,
    picked: Room,
    n_picked: int,
) -> int:
    """Pick the best box and lower the scores of those that it overlaps, until none is left.

    Among equal scores the first is picked: that which `in_order` has first.

    Args:
        blocks: The image's boxes.
        first_block: The first block of the group.
        stop_block: The block after its last.
        iou_threshold: As `soften` has it.
        sigma: As `soften` has it.
        score_threshold: As `soften` has it.
        method: As `soften` has it.
        iou: Room for `BLOCK` numbers.
        hits: Room for one more.
        room: The image's boxes, where `blocks` have them from.
        picked: Where picks are written, with what is left of their scores.
        n_picked: How many there are already.

    Returns:
        How many there are then.
    """
    in_block, score, bits, highest = blocks.box, blocks.score, blocks.bits, blocks.highest
    number_in, box, origin = blocks.number, room.box, room.origin
    picked_box, picked_origin, picked_keys = picked.box, picked.origin, picked.keys
    # The threshold's bits; those of -0 are not those of 0.
    iou[0] = abs(score_threshold)
    lowest = iou.view(np.int64)[0]
    while True:
        best_block = -1
        best_bits = lowest
        for block in range(first_block, stop_block):
            if highest[block] > best_bits:
                best_block = block
                best_bits = highest[block]
        if best_block < 0:
            return n_picked
        lane = 0
        while bits[best_block, lane] != best_bits:
            lane += 1
        number = number_in[best_block, lane]
        left, top = box[number, LEFT], box[number, TOP]
        right, bottom = box[number, RIGHT], box[number, BOTTOM]
        picked_box[n_picked, LEFT] = left
        picked_box[n_picked, TOP] = top
        picked_box[n_picked, RIGHT] = right
        picked_box[n_picked, BOTTOM] = bottom
        picked_box[n_picked, SCORE] = score[best_block, lane]
        picked_box[n_picked, WEIGHT] = box[number, WEIGHT]
        picked_origin[n_picked, MEMBER] = origin[number, MEMBER]
        picked_origin[n_picked, CATEGORY] = origin[number, CATEGORY]
        picked_origin[n_picked, ROW] = origin[number, ROW]
        picked_keys[n_picked] = key(score[best_block, lane], n_picked)
        n_picked += 1
        score[best_block, lane] = -1.0
        for block in range(first_block, stop_block):
            # The picked box's own block is looked at even if it was the last of it.
            if highest[block] > lowest:
                _overlaps(in_block, block, left, top, right, bottom, iou)
                _soften_block(
                    score, block, iou, hits, iou_threshold, sigma, score_threshold, method
                )
                highest[block] = _highest(bits, block)


# numpy's rule for division by 0 lets the compiler work on several boxes at once.
@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _overlaps(
    in_block: Floats, block: int, left: float, top: float, right: float, bottom: float, iou: Floats
) -> None:
    """Intersection over union of a box with each of a block, written to `iou`, (BLOCK,)."""
    area = (right - left) * (bottom - top)
    for lane in range(BLOCK):
        width = min(in_block[block, RIGHT, lane], right) - max(in_block[block, LEFT, lane], left)
        height = min(in_block[block, BOTTOM, lane], bottom) - max(in_block[block, TOP, lane], top)
        shared = max(width, 0.0) * max(height, 0.0)
        iou[lane] = shared / (in_block[block, AREA, lane] + area - shared)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _soften_block(
    score: Floats,
    block: int,
    iou: Floats,
    hits: Ints,
    iou_threshold: float,
    sigma: float,
    score_threshold: float,
    method: int,
) -> None:
    """Lower the scores of one block's boxes by how much they overlap the box just picked.

    `hits` is room for one number more than a block has boxes.
    """
    if method == GAUSSIAN:
        # An exponential takes long: only where it is needed, and found without a branch.
        n_hits = 0
        for lane in range(BLOCK):
            hits[n_hits] = lane
            n_hits += (iou[lane] > 0.0) & (score[block, lane] > score_threshold)
        for hit in range(n_hits):
            lane = hits[hit]
            score[block, lane] *= exp(-(iou[lane] * iou[lane]) / sigma)
    else:
        rest = 1.0 if method == LINEAR else 0.0
        for lane in range(BLOCK):
            lowered = (1.0 - iou[lane]) * rest
            score[block, lane] *= lowered if iou[lane] > iou_threshold else 1.0


@njit(cache=True)  # type: ignore[untyped-decorator]
def _highest(bits: Ints, block: int) -> int:
    """The largest integer of a block, or 0 if all are negative."""
    highest = 0
    # With BLOCK in place of the length the compiler would write the loop out, one by one.
    for lane in range(bits.shape[1]):
        highest = max(highest, bits[block, lane])
    return highest
