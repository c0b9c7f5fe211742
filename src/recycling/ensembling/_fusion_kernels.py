"""Weighted boxes fusion and the kinds of non-maximum suppression, compiled by numba.

Importing this module imports numba; `recycling.ensembling` does so only when a function needs it.
All of it is in one file because numba's cache notices changes to a function's own file only.

The members' columns stay where they are; an image's boxes are copied into room that a thread uses
again for its next image. So little memory is needed, and what is worked on stays in the cache. A
*run* is a stretch of rows of one member that are on one image.

A call works on a stretch of images, one after the other. It holds no lock, so several stretches can
be worked on at once by threads; their number cannot alter a result.

Boxes are taken by score over all categories, though only those of one category meet: neighbours
then mostly have nothing to do with one another, and the processor need not wait for one to be
stored before it starts on the next.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Columns of `Room.box`.
LEFT, TOP, RIGHT, BOTTOM, SCORE, WEIGHT = range(6)
# Columns of `Room.origin`.
MEMBER, CATEGORY, ROW, NEXT = range(4)
NUMBER_BITS, SCORE_BITS = 32, 16
"""What a sort key is made of: the score above, the number of the box below."""
FEW = 24
"""From this many on, sorting by digits beats sorting by insertion."""

AVG, MAX, BOX_AND_MODEL_AVG, ABSENT_MODEL_AWARE_AVG = range(4)

ZERO = np.int64(0)
"""A variable that begins as a plain 0 makes numba compile what takes it twice."""

LANES = 8
"""How many clusters are looked at in one go; `_most_overlapped` counts on 8."""

AREA = 4
"""The row of `Slots.box` after the four edges."""
LINEAR, GAUSSIAN, NMS = range(3)

BLOCK = 32
"""How many boxes Soft-NMS compares at once: enough that the compiler makes vector instructions of
a loop over them, few enough that blocks are mostly full, and a bit each in one number."""

# What `fuse` sums over a cluster: score times each edge, then these.
SCORES, SIZE = 4, 5
# What `merge` sums: share times each edge, then this.
SHARES = 4
# A cluster's first box and its last; each box knows the next.
FIRST, LAST = 0, 1


class Tables(NamedTuple):
    """The members' columns, where they lie, and which rows are on which image.

    Attributes:
        address: (members, 6), where in memory the column of category ids, scores, left, top,
            right and bottom edges begins. 8 bytes a value.
        stride: (members, 6), bytes from one value of the column to the next.
        category_ids: (categories,), the ids that the numbers 0, 1, ... stand for. The columns
            hold ids if these are consecutive, else numbers.
        lowest_category: What is taken off a value of the column to make it a number.
        weights: (categories, members).
        scale: 1 over the largest of these.
        run_start: (runs,), the first row of each run; runs of one image follow one another.
        run_stop: (runs,), the row after its last.
        run_member: (runs,), whose rows they are.
        run_pointer: (images + 1,), where the runs of each image begin.
        box_pointer: (images + 1,), how many rows lie before each image.
        image_ids: (images,).
        member_start: (members,), how many rows the members before each one have.
    """

    address: Ints
    stride: Ints
    category_ids: Ints
    lowest_category: int
    weights: Floats
    scale: float
    run_start: Ints
    run_stop: Ints
    run_member: Ints
    run_pointer: Ints
    box_pointer: Ints
    image_ids: Ints
    member_start: Ints


class Room(NamedTuple):
    """Room for the boxes of one image, `n` of them at most.

    Attributes:
        box: (n, 6), edges, score times weight, weight.
        origin: (n, 4), member, number of the category, row of the member's table, and the next
            box of the same cluster.
        keys: (n,), what is sorted; `number_of` says which box a key stands for.
        spare: (n,), the same again.
        counts: (256,), how often each digit occurs.
    """

    box: Floats
    origin: Ints
    keys: Ints
    spare: Ints
    counts: Ints


class Output(NamedTuple):
    """Room for the result, a column each, as long as all members' tables together.

    The boxes of a stretch of images begin where its first would lie if none were fused.

    Attributes:
        image_id: (rows,).
        category_id: (rows,).
        score: (rows,).
        x_min: (rows,).
        y_min: (rows,).
        x_max: (rows,).
        y_max: (rows,).
        place: (rows,), for each row of the members, one member after the other, where the box is
            that it became part of; or no room, where nobody asks. Other rows stay as they were.
    """

    image_id: Ints
    category_id: Ints
    score: Floats
    x_min: Floats
    y_min: Floats
    x_max: Floats
    y_max: Floats
    place: Ints


class Slots(NamedTuple):
    """Room for the boxes of an image's clusters; those of one category lie side by side.

    Attributes:
        box: (5, slots), edges and area.
        first_slot: (categories,), where a category's slots begin.
        n_used: (categories,), how many of them are taken.
    """

    box: Floats
    first_slot: Ints
    n_used: Ints


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


# numpy's rule for division by 0 lets the compiler look at several clusters at once; no box that
# takes part has an area of 0.
@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fuse(
    tables: Tables,
    first_image: int,
    stop_image: int,
    iou_threshold: float,
    score_threshold: float,
    confidence: int,
    class_agnostic: bool,
    output: Output,
) -> tuple[int, int, int]:
    """Weighted boxes fusion of some images, one after the other.

    Returns:
        How many boxes there are then, how many of no area were left out, and how many hold a
        value that they may not.
    """
    weights, n_flat, n_bad = tables.weights, 0, 0
    n_categories, n_members = weights.shape
    n_most = _most_boxes(tables, first_image, stop_image)
    # Taking a column out of a tuple counts as one more user of it, which takes time in a loop.
    room, fused = room_for(n_most), room_for(n_most)
    box, origin = room.box, room.origin
    fused_box, fused_origin, fused_keys = fused.box, fused.origin, fused.keys
    slots = _slots_for(n_most, n_categories)
    cluster_box, first_slot, n_used = slots.box, slots.first_slot, slots.n_used
    total = np.empty((cluster_box.shape[1], 6), np.float64)
    chain = np.empty((cluster_box.shape[1], 2), np.int64)
    taken = np.empty(n_most, np.int64)
    seen = np.zeros(n_members, np.bool_)
    summed = np.zeros(n_categories, np.float64)
    target = tables.box_pointer[first_image]
    for image in range(first_image, stop_image):
        n_boxes, flat, bad = gather(tables, image, score_threshold, room)
        n_flat += flat
        n_bad += bad
        keys = in_order(n_boxes, room)
        _lay_out(n_boxes, class_agnostic, origin, first_slot, n_used)
        n_clusters = ZERO
        for place in range(n_boxes):
            number = number_of(keys[place])
            group = 0 if class_agnostic else origin[number, CATEGORY]
            first, n_others = first_slot[group], n_used[group]
            slot = _most_overlapped(box, number, cluster_box, first, n_others, iou_threshold)
            score = box[number, SCORE]
            origin[number, NEXT] = -1
            if slot < 0:
                slot = first + n_others
                n_used[group] += 1
                _begin(box, number, cluster_box, slot)
                taken[n_clusters] = slot
                n_clusters += 1
                chain[slot, FIRST] = number
                total[slot, LEFT] = score * box[number, LEFT]
                total[slot, TOP] = score * box[number, TOP]
                total[slot, RIGHT] = score * box[number, RIGHT]
                total[slot, BOTTOM] = score * box[number, BOTTOM]
                total[slot, SCORES] = score
                total[slot, SIZE] = 1.0
            else:
                origin[chain[slot, LAST], NEXT] = number
                total[slot, LEFT] += score * box[number, LEFT]
                total[slot, TOP] += score * box[number, TOP]
                total[slot, RIGHT] += score * box[number, RIGHT]
                total[slot, BOTTOM] += score * box[number, BOTTOM]
                total[slot, SCORES] += score
                total[slot, SIZE] += 1.0
                # A cluster whose scores are all 0 has no weighted mean: its first box stays.
                if total[slot, SCORES] > 0.0:
                    left = total[slot, LEFT] / total[slot, SCORES]
                    top = total[slot, TOP] / total[slot, SCORES]
                    right = total[slot, RIGHT] / total[slot, SCORES]
                    bottom = total[slot, BOTTOM] / total[slot, SCORES]
                    cluster_box[LEFT, slot] = left
                    cluster_box[TOP, slot] = top
                    cluster_box[RIGHT, slot] = right
                    cluster_box[BOTTOM, slot] = bottom
                    cluster_box[AREA, slot] = (right - left) * (bottom - top)
            chain[slot, LAST] = number
        for cluster in range(n_clusters):
            slot = taken[cluster]
            first = chain[slot, FIRST]
            category = origin[first, CATEGORY]
            if class_agnostic:
                category = _heaviest_category(box, origin, first, summed)
            score = _cluster_score(
                confidence, box, origin, first, total[slot, SCORES], total[slot, SIZE],
                weights, category, seen,
            )  # fmt: skip
            fused_box[cluster, LEFT] = cluster_box[LEFT, slot]
            fused_box[cluster, TOP] = cluster_box[TOP, slot]
            fused_box[cluster, RIGHT] = cluster_box[RIGHT, slot]
            fused_box[cluster, BOTTOM] = cluster_box[BOTTOM, slot]
            fused_box[cluster, SCORE] = score
            fused_box[cluster, WEIGHT] = 0.0
            fused_origin[cluster, CATEGORY] = category
            fused_keys[cluster] = key(score, cluster)
        keys = in_order(n_clusters, fused)
        _write(tables, image, fused, keys, n_clusters, output, target)
        if len(output.place) > 0:
            for place in range(n_clusters):
                number = chain[taken[number_of(keys[place])], FIRST]
                while number >= 0:
                    row = tables.member_start[origin[number, MEMBER]] + origin[number, ROW]
                    output.place[row] = target + place
                    number = origin[number, NEXT]
        target += n_clusters
    return target - tables.box_pointer[first_image], n_flat, n_bad


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def suppress(
    tables: Tables,
    first_image: int,
    stop_image: int,
    iou_threshold: float,
    score_threshold: float,
    class_agnostic: bool,
    output: Output,
) -> tuple[int, int, int]:
    """Non-maximum suppression of some images; returns what `fuse` does.

    Each box that stays is a cluster.
    """
    n_most = _most_boxes(tables, first_image, stop_image)
    room = room_for(n_most)
    box, origin = room.box, room.origin
    slots = _slots_for(n_most, len(tables.weights))
    kept_box, first_slot, n_used = slots.box, slots.first_slot, slots.n_used
    n_flat = 0
    n_bad = 0
    target = tables.box_pointer[first_image]
    for image in range(first_image, stop_image):
        n_boxes, flat, bad = gather(tables, image, score_threshold, room)
        n_flat += flat
        n_bad += bad
        keys = in_order(n_boxes, room)
        _lay_out(n_boxes, class_agnostic, origin, first_slot, n_used)
        n_kept = ZERO
        for place in range(n_boxes):
            number = number_of(keys[place])
            group = 0 if class_agnostic else origin[number, CATEGORY]
            first, n_others = first_slot[group], n_used[group]
            if _most_overlapped(box, number, kept_box, first, n_others, iou_threshold) < 0:
                _begin(box, number, kept_box, first + n_others)
                n_used[group] += 1
                keys[n_kept] = keys[place]
                n_kept += 1
        _write(tables, image, room, keys, n_kept, output, target)
        if len(output.place) > 0:
            for place in range(n_kept):
                number = number_of(keys[place])
                row = tables.member_start[origin[number, MEMBER]] + origin[number, ROW]
                output.place[row] = target + place
        target += n_kept
    return target - tables.box_pointer[first_image], n_flat, n_bad


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
    # A Gaussian lowers the score of every box that is overlapped at all.
    iou_threshold = 0.0 if method == GAUSSIAN else iou_threshold
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
def _most_boxes(tables: Tables, first_image: int, stop_image: int) -> Any:
    """How many boxes the image with the most has."""
    box_pointer = tables.box_pointer
    most = ZERO
    for image in range(first_image, stop_image):
        if box_pointer[image + 1] - box_pointer[image] > most:
            most = box_pointer[image + 1] - box_pointer[image]
    return most


@njit(cache=True)  # type: ignore[untyped-decorator]
def _slots_for(n_boxes: int, n_categories: int) -> Slots:
    """Room for the clusters of at most `n_boxes`, whole lanes for each category."""
    n_slots = n_boxes + min(n_boxes, n_categories) * LANES
    return Slots(
        np.empty((5, n_slots), np.float64),
        np.empty(n_categories, np.int64),
        np.empty(n_categories, np.int64),
    )


@njit(cache=True)  # type: ignore[untyped-decorator]
def _lay_out(
    n_boxes: int, class_agnostic: bool, origin: Ints, first_slot: Ints, n_used: Ints
) -> None:
    """Give each category on the image as many slots as it has boxes, rounded up to whole lanes."""
    if class_agnostic:
        first_slot[0] = 0
        n_used[0] = 0
        return
    for number in range(n_boxes):
        n_used[origin[number, CATEGORY]] = 0
        first_slot[origin[number, CATEGORY]] = -1
    for number in range(n_boxes):
        n_used[origin[number, CATEGORY]] += 1
    first = 0
    for number in range(n_boxes):
        category = origin[number, CATEGORY]
        if first_slot[category] < 0:
            first_slot[category] = first
            first += (n_used[category] + LANES - 1) // LANES * LANES
    for number in range(n_boxes):
        n_used[origin[number, CATEGORY]] = 0


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _most_overlapped(
    box: Floats, number: int, other: Floats, first: int, n_others: int, iou_threshold: float
) -> int:
    """Which of some boxes overlaps a given one most, and by more than the threshold.

    Args:
        box: (n, 6), the given one is among them.
        number: Its number.
        other: (5, slots), edges and area; whole lanes, of which the last are filled up with boxes
            that overlap nothing.
        first: The slot of the first that counts.
        n_others: How many count.
        iou_threshold: The threshold.

    Returns:
        Its slot, or -1 if none does.
    """
    left, top, right, bottom = (
        box[number, LEFT],
        box[number, TOP],
        box[number, RIGHT],
        box[number, BOTTOM],
    )
    area = (right - left) * (bottom - top)
    # First without a division, for whole lanes, and with a little to spare: hits are counted in
    # the upper half of a number and their slots summed in the lower, so that one alone is known,
    # and needs no second look where it is one by more than rounding can matter.
    nearly, surely = iou_threshold * 0.999999, iou_threshold * 1.000001
    found = sure = 0
    for slot in range(first, first + ((n_others + 7) >> 3 << 3)):
        width = max(min(other[RIGHT, slot], right) - max(other[LEFT, slot], left), 0.0)
        height = max(min(other[BOTTOM, slot], bottom) - max(other[TOP, slot], top), 0.0)
        shared = width * height
        together = other[AREA, slot] + area - shared
        if shared > nearly * together:
            found += (1 << 32) + slot
        if shared > surely * together:
            sure += 1
    if found == 0:
        return -1
    stop = first + n_others
    if found >> 32 == 1:
        first = found & 0xFFFFFFFF
        if sure == 1:
            return first
        stop = first + 1
    best = -1
    best_iou = iou_threshold
    for slot in range(first, stop):
        width = max(min(other[RIGHT, slot], right) - max(other[LEFT, slot], left), 0.0)
        height = max(min(other[BOTTOM, slot], bottom) - max(other[TOP, slot], top), 0.0)
        shared = width * height
        iou = shared / (other[AREA, slot] + area - shared)
        if iou > best_iou:
            best = slot
            best_iou = iou
    return best


@njit(cache=True)  # type: ignore[untyped-decorator]
def _begin(box: Floats, number: int, cluster_box: Floats, slot: int) -> None:
    """Make a box a cluster's."""
    if slot % LANES == 0:
        # The rest of the lanes are boxes that overlap nothing.
        for other in range(slot, slot + LANES):
            cluster_box[LEFT, other] = np.inf
            cluster_box[TOP, other] = np.inf
            cluster_box[RIGHT, other] = -np.inf
            cluster_box[BOTTOM, other] = -np.inf
            cluster_box[AREA, other] = 1.0
    left, top, right, bottom = (
        box[number, LEFT],
        box[number, TOP],
        box[number, RIGHT],
        box[number, BOTTOM],
    )
    cluster_box[LEFT, slot] = left
    cluster_box[TOP, slot] = top
    cluster_box[RIGHT, slot] = right
    cluster_box[BOTTOM, slot] = bottom
    cluster_box[AREA, slot] = (right - left) * (bottom - top)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _cluster_score(
    confidence: int,
    box: Floats,
    origin: Ints,
    first: int,
    score_sum: float,
    size: float,
    weights: Floats,
    category: int,
    seen: NDArray[np.bool_],
) -> Any:
    """The score of a cluster, by its boxes from `first` on; `seen` is all False, before and after.

    Args:
        confidence: Its kind.
        box: (n, 6), the image's boxes.
        origin: (n, 4), where they come from.
        first: The cluster's first box, of the highest score.
        score_sum: Sum of the weighted scores.
        size: How many boxes it has.
        weights: (categories, members).
        category: The cluster's.
        seen: (members,), room to note members.
    """
    n_counting = 0
    total = 0.0
    largest = 0.0
    for member in range(len(seen)):
        weight = weights[category, member]
        n_counting += weight > 0.0
        total += weight
        largest = max(largest, weight)
    if confidence == MAX:
        return min(box[first, SCORE] / largest, 1.0)
    if confidence == AVG:
        return min(score_sum / size * min(n_counting, size) / total, 1.0)
    weight_sum = 0.0
    number = first
    while number >= 0:
        weight_sum += box[number, WEIGHT]
        seen[origin[number, MEMBER]] = True
        number = origin[number, NEXT]
    present = 0.0
    absent = 0.0
    for member in range(len(seen)):
        if seen[member]:
            present += weights[category, member]
        else:
            absent += weights[category, member]
        seen[member] = False
    if confidence == BOX_AND_MODEL_AVG:
        return min(score_sum / weight_sum * present / total, 1.0)
    return min(score_sum / (weight_sum + absent), 1.0)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _heaviest_category(box: Floats, origin: Ints, first: int, summed: Floats) -> Any:
    """The category with the highest sum of weighted scores in a cluster.

    Of equals, that whose best box has the highest score. `summed` is all 0, before and after.
    """
    number = first
    while number >= 0:
        summed[origin[number, CATEGORY]] += box[number, SCORE]
        number = origin[number, NEXT]
    heaviest = origin[first, CATEGORY]
    number = first
    while number >= 0:
        category = origin[number, CATEGORY]
        if summed[category] > summed[heaviest]:
            heaviest = category
        number = origin[number, NEXT]
    number = first
    while number >= 0:
        summed[origin[number, CATEGORY]] = 0.0
        number = origin[number, NEXT]
    return heaviest


@njit(cache=True)  # type: ignore[untyped-decorator]
def _write(
    tables: Tables, image: int, room: Room, keys: Ints, n_boxes: int, output: Output, target: int
) -> None:
    """Write the boxes of the room that the first keys stand for, from row `target` on."""
    box, origin, category_ids = room.box, room.origin, tables.category_ids
    image_id, category_id, score = output.image_id, output.category_id, output.score
    x_min, y_min, x_max, y_max = output.x_min, output.y_min, output.x_max, output.y_max
    for place in range(n_boxes):
        number = number_of(keys[place])
        image_id[target + place] = tables.image_ids[image]
        category_id[target + place] = category_ids[origin[number, CATEGORY]]
        score[target + place] = box[number, SCORE]
        x_min[target + place] = box[number, LEFT]
        y_min[target + place] = box[number, TOP]
        x_max[target + place] = box[number, RIGHT]
        y_max[target + place] = box[number, BOTTOM]


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
    lowest = np.float64(abs(score_threshold)).view(np.int64)
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
        # It overlaps nothing any more.
        in_block[best_block, RIGHT, lane] = -np.inf
        for block in range(first_block, stop_block):
            # The picked box's own block is looked at even if it was the last of it.
            if highest[block] > lowest:
                lowered = _soften_block(
                    in_block,
                    score,
                    block,
                    left,
                    top,
                    right,
                    bottom,
                    iou_threshold,
                    sigma,
                    score_threshold,
                    method,
                )
                if lowered or block == best_block:
                    highest[block] = _highest(bits, block)


# numpy's rule for division by 0 lets the compiler work on several boxes at once.
@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _soften_block(
    in_block: Floats,
    score: Floats,
    block: int,
    left: float,
    top: float,
    right: float,
    bottom: float,
    iou_threshold: float,
    sigma: float,
    score_threshold: float,
    method: int,
) -> Any:
    """Lower the scores of one block's boxes by how much they overlap the box just picked.

    Returns:
        Whether one of them may have been lowered.
    """
    area = (right - left) * (bottom - top)
    # First without a division and without a branch, for the whole block, and with a little to
    # spare: most boxes are left alone, and those that are not are noted as bits of a number.
    nearly = iou_threshold * 0.999999
    found = ZERO
    for lane in range(BLOCK):
        width = min(in_block[block, RIGHT, lane], right) - max(in_block[block, LEFT, lane], left)
        height = min(in_block[block, BOTTOM, lane], bottom) - max(in_block[block, TOP, lane], top)
        shared = max(width, 0.0) * max(height, 0.0)
        hit = shared > nearly * (in_block[block, AREA, lane] + area - shared)
        found += np.int64(hit) << lane
    lowered = found != 0
    while found != 0:
        lane = _lowest_bit(found)
        found &= found - 1
        if score[block, lane] > score_threshold:
            width = min(in_block[block, RIGHT, lane], right)
            width -= max(in_block[block, LEFT, lane], left)
            height = min(in_block[block, BOTTOM, lane], bottom)
            height -= max(in_block[block, TOP, lane], top)
            shared = width * height
            iou = shared / (in_block[block, AREA, lane] + area - shared)
            if method == GAUSSIAN:
                score[block, lane] *= exp(-(iou * iou) / sigma)
            elif iou > iou_threshold:
                score[block, lane] *= 1.0 - iou if method == LINEAR else 0.0
    return lowered


@njit(cache=True)  # type: ignore[untyped-decorator]
def _highest(bits: Ints, block: int) -> int:
    """The largest integer of a block, or 0 if all are negative."""
    highest = 0
    # With BLOCK in place of the length the compiler would write the loop out, one by one.
    for lane in range(bits.shape[1]):
        highest = max(highest, bits[block, lane])
    return highest


def _loader(result: Any) -> Callable[..., Any]:
    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(
                arguments[0], context.get_value_type(result).as_pointer(), name="column"
            )
            return builder.load(pointer)

        return result(types.int64), generate

    return load


# A tuple of arrays would mean compiling anew for each number of members; an address does not.
_float_at = intrinsic(_loader(types.float64))
_int_at = intrinsic(_loader(types.int64))


@intrinsic  # type: ignore[untyped-decorator]
def _lowest_bit(typing_context: Any, bits: Any) -> Any:
    """The place of the lowest bit that is set; undefined where none is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.int64), generate


@njit(cache=True)  # type: ignore[untyped-decorator]
def room_for(n_boxes: int) -> Room:
    """Room for the boxes of an image that has at most `n_boxes`."""
    return Room(
        np.empty((n_boxes, 6), np.float64),
        np.empty((n_boxes, 4), np.int64),
        np.empty(n_boxes, np.int64),
        np.empty(n_boxes, np.int64),
        np.empty(256, np.int64),
    )


@njit(cache=True)  # type: ignore[untyped-decorator]
def gather(tables: Tables, image: int, score_threshold: float, room: Room) -> tuple[Any, int, int]:
    """Put the boxes of one image that take part into the room, and a key for each.

    Args:
        tables: The members' columns.
        image: Which image.
        score_threshold: Boxes below it take no part.
        room: Where they are put.

    Returns:
        How many take part, how many of no area were left out, and how many hold a value that
        they may not.
    """
    box, origin, keys = room.box, room.origin, room.keys
    n_boxes = ZERO
    n_flat = 0
    n_bad = 0
    for run in range(tables.run_pointer[image], tables.run_pointer[image + 1]):
        member = tables.run_member[run]
        address, stride = tables.address[member], tables.stride[member]
        for row in range(tables.run_start[run], tables.run_stop[run]):
            score = _float_at(address[1] + row * stride[1])
            left = _float_at(address[2] + row * stride[2])
            top = _float_at(address[3] + row * stride[3])
            right = _float_at(address[4] + row * stride[4])
            bottom = _float_at(address[5] + row * stride[5])
            # Nothing compares with what is not a number.
            sound = (score >= 0.0) & (score <= 1.0) & (left <= right) & (top <= bottom)
            finite = (left > -np.inf) & (right < np.inf) & (top > -np.inf) & (bottom < np.inf)
            if not (sound & finite):
                n_bad += 1
                continue
            if score < score_threshold:
                continue
            category = _int_at(address[0] + row * stride[0]) - tables.lowest_category
            weight = tables.weights[category, member]
            if weight == 0.0:
                continue
            if (right - left) * (bottom - top) == 0.0:
                n_flat += 1
                continue
            box[n_boxes, LEFT] = left
            box[n_boxes, TOP] = top
            box[n_boxes, RIGHT] = right
            box[n_boxes, BOTTOM] = bottom
            box[n_boxes, SCORE] = score * weight
            box[n_boxes, WEIGHT] = weight
            origin[n_boxes, MEMBER] = member
            origin[n_boxes, CATEGORY] = category
            origin[n_boxes, ROW] = row
            keys[n_boxes] = key(score * weight * tables.scale, n_boxes)
            n_boxes += 1
    return n_boxes, n_flat, n_bad


@njit(cache=True)  # type: ignore[untyped-decorator]
def key(share: float, number: int) -> Any:
    """A key by which boxes sort by score, highest first, to one part in 4,096.

    The bits of numbers from 0 up are in the order of the numbers. Of a float32 from 1 / 32,768 to
    1 the upper sixteen are kept that differ.
    """
    bits = np.int64(np.float32(share).view(np.int32))
    level = (bits - 0x38000000) >> 11 if bits > 0x38000000 else np.int64(0)
    return ((0xFFFF - level) << NUMBER_BITS) | number


@njit(cache=True)  # type: ignore[untyped-decorator]
def in_order(n_boxes: int, room: Room) -> Ints:
    """Sort the boxes by weighted score, highest first.

    Equal scores are put in order by the box itself, so that the order of the members does not
    matter.

    Returns:
        The room's keys in order: one of its two columns, the first `n_boxes` of it.
    """
    keys, spare, counts = room.keys, room.spare, room.counts
    if n_boxes < FEW:
        for place in range(1, n_boxes):
            moving = keys[place]
            while place > 0 and keys[place - 1] > moving:
                keys[place] = keys[place - 1]
                place -= 1
            keys[place] = moving
    else:
        for shift in range(NUMBER_BITS, NUMBER_BITS + SCORE_BITS, 8):
            counts[:] = 0
            for i in range(n_boxes):
                counts[(keys[i] >> shift) & 255] += 1
            before = 0
            for digit in range(256):
                before, counts[digit] = before + counts[digit], before
            for i in range(n_boxes):
                digit = (keys[i] >> shift) & 255
                spare[counts[digit]] = keys[i]
                counts[digit] += 1
            keys, spare = spare, keys
    first = 0
    while first < n_boxes:
        stop = first + 1
        while stop < n_boxes and keys[stop] >> NUMBER_BITS == keys[first] >> NUMBER_BITS:
            stop += 1
        if stop > first + 1:
            _sort_alike(keys[first:stop], room.box, room.origin)
        first = stop
    return keys


@njit(cache=True)  # type: ignore[untyped-decorator]
def number_of(key: int) -> int:
    """Which box of the room a key stands for."""
    return key & ((1 << NUMBER_BITS) - 1)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _sort_alike(keys: Ints, box: Floats, origin: Ints) -> None:
    """Sort keys of about the same score: few mostly, but there may be very many."""
    n_boxes = len(keys)
    if n_boxes < FEW:
        for place in range(1, n_boxes):
            moving = keys[place]
            while place > 0 and _comes_first(moving, keys[place - 1], box, origin):
                keys[place] = keys[place - 1]
                place -= 1
            keys[place] = moving
        return
    # Heapsort: the last box in order stands on top of the heap.
    for size in range(n_boxes + n_boxes // 2, 0, -1):
        if size > n_boxes:
            root, stop = size - n_boxes - 1, n_boxes
        else:
            keys[0], keys[size - 1] = keys[size - 1], keys[0]
            root, stop = 0, size - 1
        while 2 * root + 1 < stop:
            child = 2 * root + 1
            if child + 1 < stop and _comes_first(keys[child], keys[child + 1], box, origin):
                child += 1
            if not _comes_first(keys[root], keys[child], box, origin):
                break
            keys[root], keys[child] = keys[child], keys[root]
            root = child


@njit(cache=True)  # type: ignore[untyped-decorator]
def _comes_first(key_a: int, key_b: int, box: Floats, origin: Ints) -> bool:
    """Whether the box of one key comes before that of the other.

    By score, edges, category, weight; all else the same, by where they come from.
    """
    a, b = number_of(key_a), number_of(key_b)
    if box[a, SCORE] != box[b, SCORE]:
        return bool(box[a, SCORE] > box[b, SCORE])
    for edge in (LEFT, TOP, RIGHT, BOTTOM):
        if box[a, edge] != box[b, edge]:
            return bool(box[a, edge] < box[b, edge])
    if origin[a, CATEGORY] != origin[b, CATEGORY]:
        return bool(origin[a, CATEGORY] < origin[b, CATEGORY])
    if box[a, WEIGHT] != box[b, WEIGHT]:
        return bool(box[a, WEIGHT] < box[b, WEIGHT])
    return bool(a < b)
