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

A box is compared with those of a *block* at once, `LANES` of them, by vector instructions that
`_overlapping` writes out. Indices are made unsigned: for a signed one numba asks at every access
whether it counts from the end, and cannot read several values in one go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Boxes = NDArray[np.void]

BOX = np.dtype(
    [
        ("left", np.float64),
        ("top", np.float64),
        ("right", np.float64),
        ("bottom", np.float64),
        ("score", np.float64),
        ("weight", np.float64),
        ("row", np.int64),
        ("member", np.uint32),
        ("category", np.uint32),
    ]
)
"""A box of an image, a cache line long: edges, score times weight, weight, row of the member's
table, numbers of member and category."""

CLUSTER = np.dtype(
    [
        ("left", np.float64),
        ("top", np.float64),
        ("right", np.float64),
        ("bottom", np.float64),
        ("weight", np.float64),
        ("size", np.float64),
        ("first", np.int64),
        ("last", np.int64),
    ]
)
"""Over the boxes of a cluster, sums of weight times each edge and of weight, and how many they are;
the number of the first box and that of the last, of which each knows the next."""

WEIGHTS = np.dtype([("n_counting", np.float64), ("total", np.float64), ("largest", np.float64)])
"""Of the members' weights for a category: how many are above 0, their sum, the largest."""

NUMBER_BITS, SCORE_BITS = 32, 16
"""What a sort key is made of: the score above, the number of the box below."""
FEW = 24
"""From this many on, sorting by digits beats sorting by insertion."""

AVG, MAX, BOX_AND_MODEL_AVG, ABSENT_MODEL_AWARE_AVG = range(4)

ZERO: Any = np.int64(0)
"""A variable that begins as a plain 0 makes numba compile what takes it twice."""

LANES = 8
"""How many boxes lie in a block."""

# Where in a block its boxes' edges begin, and what `_least` makes of their areas; a value each.
LEFT, TOP, RIGHT, BOTTOM, LEAST = (np.uint64(edge * LANES) for edge in range(5))
BLOCK = 5 * LANES
"""How many values a block has."""

AT_ONCE = 64
"""How many boxes are looked at in one go: a bit each of a number."""

LINEAR, GAUSSIAN, NMS = range(3)


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
        box: (n,), of type `BOX`.
        next: (n,), the next box of the same cluster, or -1.
        keys: (n,), what is sorted; `number_of` says which box a key stands for.
        spare: (n,), the same again.
        counts: (256,), how often each digit occurs.
    """

    box: Boxes
    next: Ints
    keys: Ints
    spare: Ints
    counts: Ints


class Output(NamedTuple):
    """Room for the result of a stretch of images, a column each.

    Attributes:
        image_id: (rows,).
        category_id: (rows,).
        score: (rows,).
        x_min: (rows,).
        y_min: (rows,).
        x_max: (rows,).
        y_max: (rows,).
        place: (rows of all members,), for each, one member after the other, where the box is that
            it became part of; or no room, where nobody asks. Other rows stay as they were. Where
            the first box of the stretch is: where it would be if none were fused before it.
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
    """Room for boxes of an image that others are compared with, those of a category side by side.

    Attributes:
        block: (blocks * BLOCK,), eight boxes after the other; slots that are not taken, in a block
            that is, overlap nothing.
        first: (categories,), the first slot of a category; it begins a block.
        n_used: (categories,), how many of its slots are taken.
    """

    block: Floats
    first: Ints
    n_used: Ints


class Scores(NamedTuple):
    """What Soft-NMS knows of the boxes in the slots.

    Attributes:
        left: (slots,), what is left of a score, and -1 where no box is left.
        number: (slots,), which box of the image it is.
        overlaps: (AT_ONCE,), for each box of a small category which others it overlaps, as bits.
        start: (AT_ONCE,), where in `factor` its pairs with later boxes begin.
        factor: (n,), for each pair, what the score of the one is multiplied with once the other
            is picked.
        near: (n,), slots of boxes that the one just picked overlaps.
    """

    left: Floats
    number: Ints
    overlaps: Ints
    start: Ints
    factor: Floats
    near: Ints


# numpy's rule for division by 0 saves the question whether there is one; there never is, as no box
# that takes part has an area of 0.
@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fuse(
    tables: Tables,
    first_image: int,
    stop_image: int,
    n_most: int,
    iou_threshold: float,
    score_threshold: float,
    confidence: int,
    class_agnostic: bool,
    output: Output,
) -> tuple[int, int, int]:
    """Weighted boxes fusion of some images, one after the other.

    Args:
        tables: The members' boxes.
        first_image: The first of the images.
        stop_image: The one after the last.
        n_most: How many boxes an image has at most.
        iou_threshold: A box joins the cluster that it overlaps most, if by more than this.
        score_threshold: Boxes below it take no part.
        confidence: How a cluster's score is made, as `Confidence` numbers the ways.
        class_agnostic: Whether boxes of different categories meet.
        output: Where the result is written.

    Returns:
        How many boxes there are then, how many of no area were left out, and how many hold a
        value that they may not.
    """
    weights, n_flat, n_bad = tables.weights, 0, 0
    n_categories, n_members = weights.shape
    # Taking a column out of a tuple counts as one more user of it, which takes time in a loop.
    room, fused = room_for(n_most), room_for(n_most)
    box, following = room.box, room.next
    fused_box, fused_keys = fused.box, fused.keys
    slots = _slots_for(n_most, n_categories)
    block, first_slot, n_used = slots.block, slots.first, slots.n_used
    clusters = np.empty(len(block) // BLOCK * LANES, CLUSTER)
    taken = np.empty(n_most, np.int64)
    seen = np.zeros(n_members, np.bool_)
    summed = np.zeros(n_categories, np.float64)
    weight_sums = _weight_sums(weights)
    target = ZERO
    for image in range(first_image, stop_image):
        n_boxes, flat, bad = gather(tables, image, score_threshold, room)
        n_flat += flat
        n_bad += bad
        keys = in_order(n_boxes, room)
        _lay_out(n_boxes, class_agnostic, box, first_slot, n_used)
        n_clusters = ZERO
        for place in range(n_boxes):
            number = number_of(keys[place])
            one = box[number]
            group = ZERO if class_agnostic else np.int64(one.category)
            first, n_others = first_slot[group], n_used[group]
            slot = _most_overlapped(one, block, first, n_others, iou_threshold)
            score = one.score
            following[number] = -1
            if slot < 0:
                slot = first + n_others
                n_used[group] += 1
                _begin(block, slot)
                _put(block, slot, one.left, one.top, one.right, one.bottom, iou_threshold)
                taken[n_clusters] = slot
                n_clusters += 1
                cluster = clusters[np.uint64(slot)]
                cluster.first = number
                cluster.left = score * one.left
                cluster.top = score * one.top
                cluster.right = score * one.right
                cluster.bottom = score * one.bottom
                cluster.weight = score
                cluster.size = 1.0
            else:
                cluster = clusters[np.uint64(slot)]
                following[np.uint64(cluster.last)] = number
                cluster.left += score * one.left
                cluster.top += score * one.top
                cluster.right += score * one.right
                cluster.bottom += score * one.bottom
                cluster.weight += score
                cluster.size += 1.0
                # A cluster whose scores are all 0 has no weighted mean: its first box stays.
                if cluster.weight > 0.0:
                    left, top = cluster.left / cluster.weight, cluster.top / cluster.weight
                    right, bottom = cluster.right / cluster.weight, cluster.bottom / cluster.weight
                    _put(block, slot, left, top, right, bottom, iou_threshold)
            cluster.last = number
        for place in range(n_clusters):
            slot = taken[place]
            cluster = clusters[np.uint64(slot)]
            category = np.int64(box[np.uint64(cluster.first)].category)
            if class_agnostic:
                category = _heaviest_category(box, following, cluster.first, summed)
            sums = weight_sums[np.uint64(category)]
            if confidence == AVG:
                n_counting = min(sums.n_counting, cluster.size)
                score = min(cluster.weight / cluster.size * n_counting / sums.total, 1.0)
            elif confidence == MAX:
                score = min(box[np.uint64(cluster.first)].score / sums.largest, 1.0)
            else:
                score = _score_by_member(
                    confidence, box, following, cluster, weights, category, seen
                )
            one = fused_box[place]
            one.left, one.top, one.right, one.bottom = _edges(block, slot)
            one.score = score
            one.weight = 0.0
            one.category = np.uint32(category)
            fused_keys[place] = key(score, place)
        keys = in_order(n_clusters, fused)
        _write(tables, image, fused, keys, n_clusters, output, target)
        if len(output.place) > 0:
            start = tables.box_pointer[first_image] + target
            for place in range(n_clusters):
                number = clusters[np.uint64(taken[number_of(keys[place])])].first
                while number >= 0:
                    one = box[number]
                    output.place[tables.member_start[one.member] + one.row] = start + place
                    number = following[number]
        target += n_clusters
    return target, n_flat, n_bad


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def suppress(
    tables: Tables,
    first_image: int,
    stop_image: int,
    n_most: int,
    iou_threshold: float,
    score_threshold: float,
    class_agnostic: bool,
    output: Output,
) -> tuple[int, int, int]:
    """Non-maximum suppression of some images; returns what `fuse` does.

    Each box that stays is a cluster.
    """
    room = room_for(n_most)
    box = room.box
    slots = _slots_for(n_most, len(tables.weights))
    block, first_slot, n_used = slots.block, slots.first, slots.n_used
    n_flat = 0
    n_bad = 0
    target = ZERO
    for image in range(first_image, stop_image):
        n_boxes, flat, bad = gather(tables, image, score_threshold, room)
        n_flat += flat
        n_bad += bad
        keys = in_order(n_boxes, room)
        _lay_out(n_boxes, class_agnostic, box, first_slot, n_used)
        n_kept = ZERO
        for place in range(n_boxes):
            number = number_of(keys[place])
            one = box[number]
            group = ZERO if class_agnostic else np.int64(one.category)
            first, n_others = first_slot[group], n_used[group]
            if _most_overlapped(one, block, first, n_others, iou_threshold) < 0:
                slot = first + n_others
                n_used[group] += 1
                _begin(block, slot)
                _put(block, slot, one.left, one.top, one.right, one.bottom, iou_threshold)
                keys[n_kept] = keys[place]
                n_kept += 1
        _write(tables, image, room, keys, n_kept, output, target)
        if len(output.place) > 0:
            start = tables.box_pointer[first_image] + target
            for place in range(n_kept):
                one = box[number_of(keys[place])]
                output.place[tables.member_start[one.member] + one.row] = start + place
        target += n_kept
    return target, n_flat, n_bad


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def soften(
    tables: Tables,
    first_image: int,
    stop_image: int,
    n_most: int,
    iou_threshold: float,
    sigma: float,
    score_threshold: float,
    method: int,
    class_agnostic: bool,
    output: Output,
) -> tuple[int, int, int]:
    """Soft-NMS of some images, one after the other; returns what `fuse` does."""
    n_categories = len(tables.weights)
    room = room_for(n_most)
    box = room.box
    slots = _slots_for(n_most, n_categories)
    block, first_slot, n_used = slots.block, slots.first, slots.n_used
    n_slots = len(block) // BLOCK * LANES
    scores = Scores(
        np.empty(n_slots, np.float64),
        np.empty(n_slots, np.int64),
        np.empty(AT_ONCE, np.int64),
        np.empty(AT_ONCE, np.int64),
        np.empty(max(n_most, AT_ONCE * (AT_ONCE - 1) // 2), np.float64),
        np.empty(n_most, np.int64),
    )
    left, number_in = scores.left, scores.number
    # A Gaussian lowers the score of every box that is overlapped at all.
    iou_threshold = 0.0 if method == GAUSSIAN else iou_threshold
    n_flat = 0
    n_bad = 0
    target = ZERO
    for image in range(first_image, stop_image):
        n_boxes, flat, bad = gather(tables, image, 0.0, room)
        n_flat += flat
        n_bad += bad
        keys = in_order(n_boxes, room)
        _lay_out(n_boxes, class_agnostic, box, first_slot, n_used)
        # In order: of equal scores the first is picked.
        for place in range(n_boxes):
            number = number_of(keys[place])
            one = box[number]
            # Scores only fall: what is not above the threshold now is never picked, and would
            # lower the scores of others only after all that are.
            if one.score > score_threshold:
                group = ZERO if class_agnostic else np.int64(one.category)
                slot = first_slot[group] + n_used[group]
                n_used[group] += 1
                _begin(block, slot)
                _put(block, slot, one.left, one.top, one.right, one.bottom, iou_threshold)
                if slot % LANES == 0:
                    for lane in range(LANES):
                        left[np.uint64(slot + lane)] = -1.0
                left[np.uint64(slot)] = one.score
                number_in[np.uint64(slot)] = number
        n_picked = ZERO
        for group in range(1 if class_agnostic else n_categories):
            if n_used[group] <= AT_ONCE:
                n_picked = _soften_few(
                    block, first_slot[group], n_used[group], scores,
                    iou_threshold, sigma, score_threshold, method, box, room.keys, n_picked,
                )  # fmt: skip
            else:
                n_picked = _soften_many(
                    block, first_slot[group], n_used[group], scores,
                    iou_threshold, sigma, score_threshold, method, box, room.keys, n_picked,
                )  # fmt: skip
        keys = in_order(n_picked, room)
        _write(tables, image, room, keys, n_picked, output, target)
        if len(output.place) > 0:
            start = tables.box_pointer[first_image] + target
            for place in range(n_picked):
                one = box[number_of(keys[place])]
                output.place[tables.member_start[one.member] + one.row] = start + place
        target += n_picked
    return target, n_flat, n_bad


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def merge(
    tables: Tables,
    first_image: int,
    stop_image: int,
    n_most: int,
    iou_threshold: float,
    score_threshold: float,
    class_agnostic: bool,
    output: Output,
) -> tuple[int, int, int]:
    """Non-maximum weighted of some images, one after the other; returns what `fuse` does."""
    room, merged = room_for(n_most), room_for(n_most)
    box, following = room.box, room.next
    merged_box, merged_keys = merged.box, merged.keys
    slots = _slots_for(n_most, len(tables.weights))
    block, first_slot, n_used = slots.block, slots.first, slots.n_used
    clusters = np.empty(len(block) // BLOCK * LANES, CLUSTER)
    taken = np.empty(n_most, np.int64)
    n_flat = 0
    n_bad = 0
    target = ZERO
    for image in range(first_image, stop_image):
        n_boxes, flat, bad = gather(tables, image, score_threshold, room)
        n_flat += flat
        n_bad += bad
        keys = in_order(n_boxes, room)
        _lay_out(n_boxes, class_agnostic, box, first_slot, n_used)
        n_clusters = ZERO
        for place in range(n_boxes):
            number = number_of(keys[place])
            one = box[number]
            group = ZERO if class_agnostic else np.int64(one.category)
            first, n_others = first_slot[group], n_used[group]
            slot = _most_overlapped(one, block, first, n_others, iou_threshold)
            following[number] = -1
            if slot < 0:
                slot = first + n_others
                n_used[group] += 1
                _begin(block, slot)
                _put(block, slot, one.left, one.top, one.right, one.bottom, iou_threshold)
                taken[n_clusters] = slot
                n_clusters += 1
                cluster = clusters[np.uint64(slot)]
                cluster.first = number
                cluster.left = one.left
                cluster.top = one.top
                cluster.right = one.right
                cluster.bottom = one.bottom
                cluster.weight = 1.0
            else:
                cluster = clusters[np.uint64(slot)]
                following[np.uint64(cluster.last)] = number
                best = box[np.uint64(cluster.first)]
                # Where scores are all 0 the best box stays as it is.
                if best.score > 0.0:
                    # Relative to the best box, whose own share is 1.
                    share = one.score / best.score
                    share *= _overlap(one, best.left, best.top, best.right, best.bottom)
                    cluster.left += share * one.left
                    cluster.top += share * one.top
                    cluster.right += share * one.right
                    cluster.bottom += share * one.bottom
                    cluster.weight += share
            cluster.last = number
        for place in range(n_clusters):
            cluster = clusters[np.uint64(taken[place])]
            best = box[np.uint64(cluster.first)]
            one = merged_box[place]
            one.left = cluster.left / cluster.weight
            one.top = cluster.top / cluster.weight
            one.right = cluster.right / cluster.weight
            one.bottom = cluster.bottom / cluster.weight
            one.score = best.score
            one.weight = 0.0
            one.category = best.category
            merged_keys[place] = key(best.score, place)
        keys = in_order(n_clusters, merged)
        _write(tables, image, merged, keys, n_clusters, output, target)
        if len(output.place) > 0:
            start = tables.box_pointer[first_image] + target
            for place in range(n_clusters):
                number = clusters[np.uint64(taken[number_of(keys[place])])].first
                while number >= 0:
                    one = box[number]
                    output.place[tables.member_start[one.member] + one.row] = start + place
                    number = following[number]
        target += n_clusters
    return target, n_flat, n_bad


@njit(cache=True)  # type: ignore[untyped-decorator]
def _slots_for(n_boxes: int, n_categories: int) -> Slots:
    """Room for at most `n_boxes`, whole blocks for each category."""
    n_blocks = n_boxes // LANES + min(n_boxes, n_categories) + 1
    return Slots(
        np.empty(n_blocks * BLOCK, np.float64),
        np.empty(n_categories, np.int64),
        np.empty(n_categories, np.int64),
    )


@njit(cache=True)  # type: ignore[untyped-decorator]
def _lay_out(
    n_boxes: int, class_agnostic: bool, box: Boxes, first_slot: Ints, n_used: Ints
) -> None:
    """Give each category on the image as many slots as it has boxes, rounded up to whole blocks."""
    if class_agnostic:
        first_slot[0] = 0
        n_used[0] = 0
        return
    n_used[:] = 0
    for number in range(n_boxes):
        n_used[box[number].category] += 1
    first = 0
    for category in range(len(n_used)):
        first_slot[category] = first
        first += (n_used[category] + LANES - 1) // LANES * LANES
    n_used[:] = 0


@njit(cache=True, forceinline=True)  # type: ignore[untyped-decorator]
def _place_of(slot: int) -> Any:
    """Where among the blocks' values the left edge of a slot's box is; unsigned."""
    return np.uint64((slot >> 3) * BLOCK + (slot & 7))


@njit(cache=True, forceinline=True)  # type: ignore[untyped-decorator]
def _begin(block: Floats, slot: int) -> None:
    """Before a slot is taken that begins a block: leave nothing in all of it."""
    if slot % LANES == 0:
        at = _place_of(slot)
        for number in range(LANES):
            lane = np.uint64(number)
            block[at + LEFT + lane] = np.inf
            block[at + TOP + lane] = np.inf
            block[at + RIGHT + lane] = -np.inf
            block[at + BOTTOM + lane] = -np.inf
            block[at + LEAST + lane] = 0.0


@njit(cache=True, forceinline=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _put(
    block: Floats,
    slot: int,
    left: float,
    top: float,
    right: float,
    bottom: float,
    iou_threshold: float,
) -> None:
    """Put a box in a slot, or another in its place."""
    at = _place_of(slot)
    block[at + LEFT] = left
    block[at + TOP] = top
    block[at + RIGHT] = right
    block[at + BOTTOM] = bottom
    block[at + LEAST] = _least((right - left) * (bottom - top), iou_threshold)


@njit(cache=True, forceinline=True)  # type: ignore[untyped-decorator]
def _take_out(block: Floats, slot: int) -> None:
    """Leave nothing in a slot."""
    block[_place_of(slot) + RIGHT] = -np.inf


@njit(cache=True, forceinline=True)  # type: ignore[untyped-decorator]
def _edges(block: Floats, slot: int) -> Any:
    """Left, top, right and bottom edge of the box in a slot."""
    at = _place_of(slot)
    return block[at + LEFT], block[at + TOP], block[at + RIGHT], block[at + BOTTOM]


@njit(cache=True, forceinline=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _overlap(box: Any, left: float, top: float, right: float, bottom: float) -> Any:
    """Intersection over union of two boxes."""
    width = max(min(box.right, right) - max(box.left, left), 0.0)
    height = max(min(box.bottom, bottom) - max(box.top, top), 0.0)
    shared = width * height
    area = (right - left) * (bottom - top)
    return shared / (area + (box.right - box.left) * (box.bottom - box.top) - shared)


@njit(cache=True, forceinline=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _least(area: float, iou_threshold: float) -> Any:
    """What a box adds to the least that it and another must share to overlap by the threshold.

    A little less than that, by more than rounding can matter: `shared / (a + b - shared)` is above
    the threshold only if `shared` is above the least of `a` and that of `b` together.
    """
    return area * (0.999999 * iou_threshold / (1.0 + iou_threshold))


@njit(cache=True, forceinline=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _hits(box: Any, block: Floats, first: int, n_others: int, iou_threshold: float) -> Any:
    """Which boxes a box overlaps by more than the threshold, or almost, found without a division.

    Args:
        box: The box.
        block: What the others are in.
        first: The slot of the first of these; it begins a block.
        n_others: How many they are, `AT_ONCE` at most.
        iou_threshold: The threshold.

    Returns:
        A bit for each, the lowest for the first.
    """
    least = _least((box.right - box.left) * (box.bottom - box.top), iou_threshold)
    hits = ZERO
    for lane in range(0, n_others, LANES):
        at = _place_of(first + lane)
        hits |= _overlapping(block, at, box.left, box.top, box.right, box.bottom, least) << lane
    return hits


@njit(cache=True, forceinline=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _most_overlapped(
    box: Any, block: Floats, first: int, n_others: int, iou_threshold: float
) -> Any:
    """Which of some boxes a box overlaps most, and by more than the threshold.

    Args:
        box: The box.
        block: What the others are in.
        first: The slot of the first of these; it begins a block.
        n_others: How many they are.
        iou_threshold: The threshold.

    Returns:
        Its slot, or -1 if it overlaps none by that much; of equals the first.
    """
    if n_others <= AT_ONCE:
        hits = _hits(box, block, first, n_others, iou_threshold)
        if hits == 0:
            return np.int64(-1)
        # One alone, by more than rounding can matter, needs no division. A branch on this is
        # foreseen; the slot is known, and work with it goes on, before it is certain.
        if hits & (hits - 1) == 0:
            slot = first + _lowest_bit(hits)
            left, top, right, bottom = _edges(block, slot)
            width = min(box.right, right) - max(box.left, left)
            height = min(box.bottom, bottom) - max(box.top, top)
            shared = width * height
            areas = (right - left) * (bottom - top)
            areas += (box.right - box.left) * (box.bottom - box.top)
            if shared > 1.000001 * iou_threshold * (areas - shared):
                return slot
    return _most_overlapped_of_many(box, block, first, n_others, iou_threshold)


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _most_overlapped_of_many(
    box: Any, block: Floats, first: int, n_others: int, iou_threshold: float
) -> Any:
    """As `_most_overlapped`, for any number of boxes, and however close."""
    best = np.int64(-1)
    best_iou = iou_threshold
    for start in range(first, first + n_others, AT_ONCE):
        hits = _hits(box, block, start, min(AT_ONCE, first + n_others - start), iou_threshold)
        while hits != 0:
            slot = start + _lowest_bit(hits)
            hits &= hits - 1
            left, top, right, bottom = _edges(block, slot)
            iou = _overlap(box, left, top, right, bottom)
            if iou > best_iou:
                best = slot
                best_iou = iou
    return best


@njit(cache=True)  # type: ignore[untyped-decorator]
def _weight_sums(weights: Floats) -> Any:
    """(categories,), of type `WEIGHTS`."""
    sums = np.zeros(len(weights), WEIGHTS)
    for category in range(weights.shape[0]):
        of_category = sums[category]
        for member in range(weights.shape[1]):
            weight = weights[category, member]
            of_category.n_counting += weight > 0.0
            of_category.total += weight
            of_category.largest = max(of_category.largest, weight)
    return sums


@njit(cache=True)  # type: ignore[untyped-decorator]
def _score_by_member(
    confidence: int,
    box: Boxes,
    following: Ints,
    cluster: Any,
    weights: Floats,
    category: int,
    seen: NDArray[np.bool_],
) -> Any:
    """The score of a cluster where it matters which members' boxes are in it.

    Args:
        confidence: `BOX_AND_MODEL_AVG` or `ABSENT_MODEL_AWARE_AVG`.
        box: (n,), the image's boxes.
        following: (n,), the next box of the same cluster, or -1.
        cluster: The cluster.
        weights: (categories, members).
        category: The cluster's.
        seen: (members,), room to note members; all False, before and after.
    """
    weight_sum = 0.0
    number = cluster.first
    while number >= 0:
        weight_sum += box[number].weight
        seen[box[number].member] = True
        number = following[number]
    present = 0.0
    absent = 0.0
    for member in range(len(seen)):
        if seen[member]:
            present += weights[category, member]
        else:
            absent += weights[category, member]
        seen[member] = False
    if confidence == BOX_AND_MODEL_AVG:
        return min(cluster.weight / weight_sum * present / (present + absent), 1.0)
    return min(cluster.weight / (weight_sum + absent), 1.0)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _heaviest_category(box: Boxes, following: Ints, first: int, summed: Floats) -> Any:
    """The category with the highest sum of weighted scores in a cluster.

    Of equals, that whose best box has the highest score. `summed` is all 0, before and after.
    """
    number = first
    while number >= 0:
        summed[box[number].category] += box[number].score
        number = following[number]
    heaviest = np.int64(box[first].category)
    number = first
    while number >= 0:
        category = np.int64(box[number].category)
        if summed[category] > summed[heaviest]:
            heaviest = category
        number = following[number]
    number = first
    while number >= 0:
        summed[box[number].category] = 0.0
        number = following[number]
    return heaviest


@njit(cache=True)  # type: ignore[untyped-decorator]
def _write(
    tables: Tables, image: int, room: Room, keys: Ints, n_boxes: int, output: Output, target: int
) -> None:
    """Write the boxes of the room that the first keys stand for, from row `target` on."""
    box, category_ids = room.box, tables.category_ids
    image_id, category_id, score = output.image_id, output.category_id, output.score
    x_min, y_min, x_max, y_max = output.x_min, output.y_min, output.x_max, output.y_max
    for place in range(n_boxes):
        one, at = box[number_of(keys[place])], np.uint64(target + place)
        image_id[at] = tables.image_ids[image]
        category_id[at] = category_ids[one.category]
        score[at] = one.score
        x_min[at] = one.left
        y_min[at] = one.top
        x_max[at] = one.right
        y_max[at] = one.bottom


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _soften_few(
    block: Floats,
    first: int,
    n_slots: int,
    scores: Scores,
    iou_threshold: float,
    sigma: float,
    score_threshold: float,
    method: int,
    box: Boxes,
    keys: Ints,
    n_picked: int,
) -> int:
    """As `_soften_many`, for at most `AT_ONCE` boxes: what can be known beforehand of each pair is.

    Between two picks there is then little left to wait for.
    """
    left, number_in = scores.left, scores.number
    overlaps, start, factor = scores.overlaps, scores.start, scores.factor
    overlaps[:] = 0
    n_pairs = ZERO
    for i in range(n_slots):
        one = box[np.uint64(number_in[np.uint64(first + i)])]
        start[i] = n_pairs
        # Those after it; its own block begins at or before it.
        skip = i & -LANES
        hits = _hits(one, block, first + skip, n_slots - skip, iou_threshold) << skip
        hits &= np.int64(-2) << i
        overlaps[i] |= hits
        while hits != 0:
            j = _lowest_bit(hits)
            hits &= hits - 1
            overlaps[np.uint64(j)] |= np.int64(1) << i
            edge_left, top, right, bottom = _edges(block, first + j)
            factor[np.uint64(n_pairs)] = _overlap(one, edge_left, top, right, bottom)
            n_pairs += 1
    _to_factors(factor, n_pairs, iou_threshold, sigma, method)
    # A bit for each box that is left.
    there = np.int64(-1)
    n_left = n_slots
    while n_left > 0:
        best = _best(left, first, n_slots)
        _pick(best, left, number_in, box, keys, n_picked)
        n_picked += 1
        n_left -= 1
        i = best - first
        there &= ~(np.int64(1) << i)
        hits = overlaps[np.uint64(i)] & there
        while hits != 0:
            j = _lowest_bit(hits)
            hits &= hits - 1
            earlier, later = min(i, j), max(i, j)
            # Of the earlier one's pairs, those with boxes between the two come first.
            between = overlaps[np.uint64(earlier)] & (np.int64(-2) << earlier)
            n_before = _n_bits(between & ~(np.int64(-1) << later))
            score = left[np.uint64(first + j)]
            score *= factor[np.uint64(start[np.uint64(earlier)] + n_before)]
            if score <= score_threshold:
                score = -1.0
                there &= ~(np.int64(1) << j)
                n_left -= 1
            left[np.uint64(first + j)] = score
    return n_picked


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _soften_many(
    block: Floats,
    first: int,
    n_slots: int,
    scores: Scores,
    iou_threshold: float,
    sigma: float,
    score_threshold: float,
    method: int,
    box: Boxes,
    keys: Ints,
    n_picked: int,
) -> int:
    """Pick the best box and lower the scores of those that it overlaps, until none is left.

    Among equal scores the first is picked: that which `in_order` has first.

    Args:
        block: What the boxes are in.
        first: The slot of the first of the category.
        n_slots: How many it has.
        scores: Their scores.
        iou_threshold: As `soften` has it.
        sigma: As `soften` has it.
        score_threshold: As `soften` has it.
        method: As `soften` has it.
        box: The image's boxes; those picked are given what is left of their scores.
        keys: Where a key for each pick is written.
        n_picked: How many there are already.

    Returns:
        How many there are then.
    """
    left, number_in, factor, near = scores.left, scores.number, scores.factor, scores.near
    n_left = n_slots
    while n_left > 0:
        best = _best(left, first, n_slots)
        one = _pick(best, left, number_in, box, keys, n_picked)
        _take_out(block, best)
        n_picked += 1
        n_left -= 1
        n_near = ZERO
        for start in range(first, first + n_slots, AT_ONCE):
            n_others = min(AT_ONCE, first + n_slots - start)
            hits = _hits(one, block, start, n_others, iou_threshold)
            while hits != 0:
                slot = start + _lowest_bit(hits)
                hits &= hits - 1
                edge_left, top, right, bottom = _edges(block, slot)
                near[np.uint64(n_near)] = slot
                factor[np.uint64(n_near)] = _overlap(one, edge_left, top, right, bottom)
                n_near += 1
        _to_factors(factor, n_near, iou_threshold, sigma, method)
        for i in range(n_near):
            slot = near[i]
            score = left[np.uint64(slot)] * factor[i]
            if score <= score_threshold:
                score = -1.0
                _take_out(block, slot)
                n_left -= 1
            left[np.uint64(slot)] = score
        if 2 * n_left <= n_slots:
            n_slots = _close_up(block, left, number_in, first, n_slots)
    return n_picked


@njit(cache=True, forceinline=True)  # type: ignore[untyped-decorator]
def _best(left: Floats, first: int, n_slots: int) -> Any:
    """The slot of the box with the highest score; of equals the first."""
    best, highest = ZERO, -1.0
    for slot in range(first, first + n_slots, LANES):
        score = _largest(left, np.uint64(slot))
        if score > highest:
            best = slot
            highest = score
    return best + _lowest_bit(_equal(left, np.uint64(best), highest))


@njit(cache=True, forceinline=True)  # type: ignore[untyped-decorator]
def _pick(slot: int, left: Floats, number_in: Ints, box: Boxes, keys: Ints, n_picked: int) -> Any:
    """Note a pick with what is left of its score; returns the box."""
    number = number_in[np.uint64(slot)]
    one = box[np.uint64(number)]
    one.score = left[np.uint64(slot)]
    left[np.uint64(slot)] = -1.0
    keys[np.uint64(n_picked)] = key(one.score, number)
    return one


@njit(cache=True)  # type: ignore[untyped-decorator]
def _close_up(block: Floats, left: Floats, number_in: Ints, first: int, n_slots: int) -> Any:
    """Move the boxes that are left together, in their order; returns how many they are."""
    n_left = ZERO
    for slot in range(first, first + n_slots):
        if left[np.uint64(slot)] >= 0.0:
            here, there = _place_of(slot), _place_of(first + n_left)
            for edge in (LEFT, TOP, RIGHT, BOTTOM, LEAST):
                block[there + edge] = block[here + edge]
            left[np.uint64(first + n_left)] = left[np.uint64(slot)]
            number_in[np.uint64(first + n_left)] = number_in[np.uint64(slot)]
            n_left += 1
    for slot in range(first + n_left, first + (n_left + LANES - 1) // LANES * LANES):
        left[np.uint64(slot)] = -1.0
        _take_out(block, slot)
    return n_left


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _to_factors(
    values: Floats, n_values: int, iou_threshold: float, sigma: float, method: int
) -> None:
    """Turn overlaps into what a score is multiplied with."""
    if method == GAUSSIAN:
        exponent = -1.0 / sigma
        for i in range(n_values):
            values[i] = _exp(values[i] * values[i] * exponent)
    elif method == LINEAR:
        for i in range(n_values):
            values[i] = 1.0 - values[i] if values[i] > iou_threshold else 1.0
    else:
        for i in range(n_values):
            values[i] = 0.0 if values[i] > iou_threshold else 1.0


@njit(cache=True, forceinline=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _exp(x: float) -> Any:
    """Euler's number to the power of x, up to 0, in a form that works on several numbers at once.

    Within two units in the last place of the C library's, which takes one number a call; 0 below
    -700, where that is under 1e-304.

    Source: the rational approximation in Cephes' ``exp.c`` (S. L. Moshier).
    """
    # Adding 1.5 * 2**52 rounds, and leaves the integer in the lower bits.
    shifted = np.float64(x * 1.4426950408889634 + 6755399441055744.0)
    n = shifted - 6755399441055744.0
    r = x - n * 6.93145751953125e-1 - n * 1.42860682030941723212e-6
    square = r * r
    p = (1.26177193074810590878e-4 * square + 3.02994407707441961300e-2) * square
    p = r * (p + 9.99999999999999999910e-1)
    q = (3.00198505138664455042e-6 * square + 2.52448340349684104192e-3) * square
    q = (q + 2.27265548208155028766e-1) * square + 2.0
    power = np.int64((shifted.view(np.int64) + 1023) << 52)
    value = (1.0 + 2.0 * (p / (q - p))) * power.view(np.float64)
    return value if x > -700.0 else 0.0


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


@intrinsic  # type: ignore[untyped-decorator]
def _n_bits(typing_context: Any, bits: Any) -> Any:
    """How many bits are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


def _load(context: Any, builder: Any, signature: Any, arguments: Any, offset: int = 0) -> Any:
    """A vector of values of an array, which is the first argument; the second says where."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    at = builder.add(arguments[1], arguments[1].type(offset))
    pointer = builder.bitcast(builder.gep(array.data, [at]), _VECTOR.as_pointer())
    return builder.load(pointer, align=8)


def _spread(builder: Any, value: Any) -> Any:
    """A vector that holds a value in each lane."""
    one = builder.insert_element(_VECTOR(ir.Undefined), value, ir.IntType(32)(0))
    first = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(one, _VECTOR(ir.Undefined), first)


def _as_bits(builder: Any, truths: Any) -> Any:
    """A number with a bit for each lane, the lowest for the first."""
    return builder.zext(builder.bitcast(truths, ir.IntType(LANES)), ir.IntType(64))


def _lesser(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _greater(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@intrinsic  # type: ignore[untyped-decorator]
def _overlapping(
    typing_context: Any,
    block: Any,
    at: Any,
    left: Any,
    top: Any,
    right: Any,
    bottom: Any,
    least: Any,
) -> Any:
    """Which boxes of a block share more with a given one than both their least, as bits.

    Where two boxes do not meet, width or height of what they share comes out below 0. If both do,
    their product would not; so one of them is raised to 0.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lefts, tops, rights, bottoms, leasts = (
            _load(context, builder, signature, arguments, int(edge))
            for edge in (LEFT, TOP, RIGHT, BOTTOM, LEAST)
        )
        left, top, right, bottom, least = (_spread(builder, value) for value in arguments[2:])
        width = builder.fsub(_lesser(builder, rights, right), _greater(builder, lefts, left))
        height = builder.fsub(_lesser(builder, bottoms, bottom), _greater(builder, tops, top))
        width = _greater(builder, width, ir.Constant(_VECTOR, None))
        shared = builder.fmul(width, height)
        enough = builder.fcmp_ordered(">", shared, builder.fadd(leasts, least))
        return _as_bits(builder, enough)

    return types.int64(block, at, left, top, right, bottom, least), generate


@intrinsic  # type: ignore[untyped-decorator]
def _largest(typing_context: Any, values: Any, at: Any) -> Any:
    """The largest of `LANES` values."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        largest = _load(context, builder, signature, arguments)
        n_lanes = LANES
        while n_lanes > 1:
            n_lanes //= 2
            lanes, undefined = ir.VectorType(ir.IntType(32), n_lanes), largest.type(ir.Undefined)
            low = ir.Constant(lanes, list(range(n_lanes)))
            high = ir.Constant(lanes, list(range(n_lanes, 2 * n_lanes)))
            a = builder.shuffle_vector(largest, undefined, low)
            b = builder.shuffle_vector(largest, undefined, high)
            largest = _greater(builder, a, b)
        return builder.extract_element(largest, ir.IntType(32)(0))

    return types.float64(values, at), generate


@intrinsic  # type: ignore[untyped-decorator]
def _equal(typing_context: Any, values: Any, at: Any, value: Any) -> Any:
    """Which of `LANES` values are the given one, as bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = _load(context, builder, signature, arguments)
        equal = builder.fcmp_ordered("==", loaded, _spread(builder, arguments[2]))
        return _as_bits(builder, equal)

    return types.int64(values, at, value), generate


@njit(cache=True)  # type: ignore[untyped-decorator]
def room_for(n_boxes: int) -> Room:
    """Room for the boxes of an image that has at most `n_boxes`."""
    return Room(
        np.empty(n_boxes, BOX),
        np.empty(n_boxes, np.int64),
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
    box, keys = room.box, room.keys
    weights, scale, lowest_category = tables.weights, tables.scale, tables.lowest_category
    n_boxes = ZERO
    n_flat = 0
    n_bad = 0
    for run in range(tables.run_pointer[image], tables.run_pointer[image + 1]):
        member = tables.run_member[run]
        # What is read again and again from an array the compiler cannot keep in a register.
        address, stride = tables.address[member], tables.stride[member]
        first = tables.run_start[run]
        at_category = address[0] + first * stride[0]
        at_score = address[1] + first * stride[1]
        at_left = address[2] + first * stride[2]
        at_top = address[3] + first * stride[3]
        at_right = address[4] + first * stride[4]
        at_bottom = address[5] + first * stride[5]
        by_category, by_score, by_left = stride[0], stride[1], stride[2]
        by_top, by_right, by_bottom = stride[3], stride[4], stride[5]
        for row in range(first, tables.run_stop[run]):
            score = _float_at(at_score)
            left = _float_at(at_left)
            top = _float_at(at_top)
            right = _float_at(at_right)
            bottom = _float_at(at_bottom)
            category = _int_at(at_category) - lowest_category
            at_score += by_score
            at_left += by_left
            at_top += by_top
            at_right += by_right
            at_bottom += by_bottom
            at_category += by_category
            # Nothing compares with what is not a number.
            sound = (score >= 0.0) & (score <= 1.0) & (left <= right) & (top <= bottom)
            finite = (left > -np.inf) & (right < np.inf) & (top > -np.inf) & (bottom < np.inf)
            if not (sound & finite):
                n_bad += 1
                continue
            if score < score_threshold:
                continue
            weight = weights[np.uint64(category), np.uint64(member)]
            if weight == 0.0:
                continue
            if (right - left) * (bottom - top) == 0.0:
                n_flat += 1
                continue
            one = box[np.uint64(n_boxes)]
            one.left = left
            one.top = top
            one.right = right
            one.bottom = bottom
            one.score = score * weight
            one.weight = weight
            one.row = row
            one.member = np.uint32(member)
            one.category = np.uint32(category)
            keys[np.uint64(n_boxes)] = key(score * weight * scale, n_boxes)
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
            _sort_alike(keys[first:stop], room.box)
        first = stop
    return keys


@njit(cache=True)  # type: ignore[untyped-decorator]
def number_of(key: int) -> int:
    """Which box of the room a key stands for."""
    return key & ((1 << NUMBER_BITS) - 1)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _sort_alike(keys: Ints, box: Boxes) -> None:
    """Sort keys of about the same score: few mostly, but there may be very many."""
    n_boxes = len(keys)
    if n_boxes < FEW:
        for place in range(1, n_boxes):
            moving = keys[place]
            while place > 0 and _comes_first(moving, keys[place - 1], box):
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
            if child + 1 < stop and _comes_first(keys[child], keys[child + 1], box):
                child += 1
            if not _comes_first(keys[root], keys[child], box):
                break
            keys[root], keys[child] = keys[child], keys[root]
            root = child


@njit(cache=True)  # type: ignore[untyped-decorator]
def _comes_first(key_a: int, key_b: int, box: Boxes) -> bool:
    """Whether the box of one key comes before that of the other.

    By score, edges, category, weight; all else the same, by where they come from.
    """
    a, b = number_of(key_a), number_of(key_b)
    one, other = box[a], box[b]
    if one.score != other.score:
        return bool(one.score > other.score)
    if one.left != other.left:
        return bool(one.left < other.left)
    if one.top != other.top:
        return bool(one.top < other.top)
    if one.right != other.right:
        return bool(one.right < other.right)
    if one.bottom != other.bottom:
        return bool(one.bottom < other.bottom)
    if one.category != other.category:
        return bool(one.category < other.category)
    if one.weight != other.weight:
        return bool(one.weight < other.weight)
    return bool(a < b)
