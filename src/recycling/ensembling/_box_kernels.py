"""Loops over boxes, compiled by numba and parallel over images.

Importing this module imports numba; `recycling.ensembling` does so only when a function needs it.

The boxes of all members lie one member after the other in flat columns. A *run* is a stretch of
rows of one member that are on one image. `run_pointer[i] : run_pointer[i + 1]` are the runs of
image i and `box_pointer[i] : box_pointer[i + 1]` the room that its boxes need in an output. Every
image is worked on by one thread alone, so the number of threads cannot alter a result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from recycling.ensembling.threads import for_one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AVG, MAX, BOX_AND_MODEL_AVG, ABSENT_MODEL_AWARE_AVG = range(4)

LANES = 8
"""How many boxes the processor compares at once."""


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def fuse(
    run_start: Ints,
    run_stop: Ints,
    run_member: Ints,
    run_pointer: Ints,
    box_pointer: Ints,
    category: Ints,
    n_categories: int,
    scores: Floats,
    x_min: Floats,
    y_min: Floats,
    x_max: Floats,
    y_max: Floats,
    weights: Floats,
    iou_threshold: float,
    score_threshold: float,
    confidence: int,
) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """Weighted boxes fusion of every image.

    Returns:
        How many boxes each image keeps, (images,); how many of no area were left out, (images,);
        category, (boxes,), score, (boxes,), and box, (boxes, 4), of the fused boxes: those of
        image i from `box_pointer[i]` on, by score, highest first.
    """
    n_images = len(run_pointer) - 1
    n_boxes = len(scores)
    n_members = len(weights)
    total_weight = weights.sum()
    largest_weight = weights.max()
    kept = np.zeros(n_images, np.int64)
    flat = np.zeros(n_images, np.int64)
    fused_category = np.empty(n_boxes, np.int64)
    fused_score = np.empty(n_boxes, np.float64)
    fused_box = np.empty((n_boxes, 4), np.float64)
    for image in prange(n_images):
        order, member, first_of, n_flat = _candidates(
            run_start[run_pointer[image] : run_pointer[image + 1]],
            run_stop[run_pointer[image] : run_pointer[image + 1]],
            run_member[run_pointer[image] : run_pointer[image + 1]],
            category,
            n_categories,
            scores,
            x_min,
            y_min,
            x_max,
            y_max,
            weights,
            score_threshold,
        )
        flat[image] = n_flat
        n_candidates = len(order)
        # One entry a cluster: its box and area, then the sums that its box and score come from.
        lefts = np.full(n_candidates + LANES, np.inf)
        tops = np.full(n_candidates + LANES, np.inf)
        rights = np.full(n_candidates + LANES, -np.inf)
        bottoms = np.full(n_candidates + LANES, -np.inf)
        areas = np.full(n_candidates + LANES, 1.0)
        weighted_sum = np.empty((n_candidates, 4), np.float64)
        score_sum = np.empty(n_candidates, np.float64)
        score_max = np.empty(n_candidates, np.float64)
        weight_sum = np.empty(n_candidates, np.float64)
        size = np.empty(n_candidates, np.int64)
        iou = np.empty(LANES, np.float64)
        cluster_category = np.empty(n_candidates, np.int64)
        counts_members = confidence in (BOX_AND_MODEL_AVG, ABSENT_MODEL_AWARE_AVG)
        seen = np.zeros((n_candidates if counts_members else 0, n_members), np.bool_)
        n_clusters = 0
        for this_category in range(n_categories):
            first_cluster = n_clusters
            for position in range(first_of[this_category], first_of[this_category + 1]):
                row = order[position]
                weight = weights[member[position]]
                score = scores[row] * weight
                left, top, right, bottom = x_min[row], y_min[row], x_max[row], y_max[row]
                best = first_cluster + _most_overlapped(
                    lefts[first_cluster:],
                    tops[first_cluster:],
                    rights[first_cluster:],
                    bottoms[first_cluster:],
                    areas[first_cluster:],
                    n_clusters - first_cluster,
                    left,
                    top,
                    right,
                    bottom,
                    iou_threshold,
                    iou,
                )
                if best < first_cluster:
                    best = n_clusters
                    n_clusters += 1
                    lefts[best], tops[best], rights[best], bottoms[best] = left, top, right, bottom
                    areas[best] = (right - left) * (bottom - top)
                    weighted_sum[best, 0] = score * left
                    weighted_sum[best, 1] = score * top
                    weighted_sum[best, 2] = score * right
                    weighted_sum[best, 3] = score * bottom
                    score_sum[best] = score
                    score_max[best] = score
                    weight_sum[best] = weight
                    size[best] = 1
                    cluster_category[best] = category[row]
                else:
                    weighted_sum[best, 0] += score * left
                    weighted_sum[best, 1] += score * top
                    weighted_sum[best, 2] += score * right
                    weighted_sum[best, 3] += score * bottom
                    score_sum[best] += score
                    weight_sum[best] += weight
                    size[best] += 1
                    total = score_sum[best]
                    # A cluster whose scores are all 0 has no weighted mean: its first box stays.
                    if total > 0:
                        lefts[best] = weighted_sum[best, 0] / total
                        tops[best] = weighted_sum[best, 1] / total
                        rights[best] = weighted_sum[best, 2] / total
                        bottoms[best] = weighted_sum[best, 3] / total
                        areas[best] = (rights[best] - lefts[best]) * (bottoms[best] - tops[best])
                if counts_members:
                    seen[best, member[position]] = True
        cluster_score = np.empty(n_clusters, np.float64)
        for cluster in range(n_clusters):
            if confidence == AVG:
                score = score_sum[cluster] / size[cluster]
                score = score * min(n_members, size[cluster]) / total_weight
            elif confidence == MAX:
                score = score_max[cluster] / largest_weight
            else:
                present = 0.0
                absent = 0.0
                for number in range(n_members):
                    if seen[cluster, number]:
                        present += weights[number]
                    else:
                        absent += weights[number]
                if confidence == BOX_AND_MODEL_AVG:
                    score = score_sum[cluster] / weight_sum[cluster] * present / total_weight
                else:
                    score = score_sum[cluster] / (weight_sum[cluster] + absent)
            cluster_score[cluster] = min(score, 1.0)
        by_score = np.argsort(-cluster_score, kind="mergesort")
        for position in range(n_clusters):
            cluster = by_score[position]
            target = box_pointer[image] + position
            fused_category[target] = cluster_category[cluster]
            fused_score[target] = cluster_score[cluster]
            fused_box[target, 0] = lefts[cluster]
            fused_box[target, 1] = tops[cluster]
            fused_box[target, 2] = rights[cluster]
            fused_box[target, 3] = bottoms[cluster]
        kept[image] = n_clusters
    return kept, flat, fused_category, fused_score, fused_box


fuse_serial = for_one_thread(fuse, "fuse_serial")


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def suppress(
    run_start: Ints,
    run_stop: Ints,
    run_member: Ints,
    run_pointer: Ints,
    box_pointer: Ints,
    category: Ints,
    n_categories: int,
    scores: Floats,
    x_min: Floats,
    y_min: Floats,
    x_max: Floats,
    y_max: Floats,
    weights: Floats,
    iou_threshold: float,
) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """Non-maximum suppression of every image; returns what `fuse` returns."""
    n_images = len(run_pointer) - 1
    n_boxes = len(scores)
    kept = np.zeros(n_images, np.int64)
    flat = np.zeros(n_images, np.int64)
    kept_category = np.empty(n_boxes, np.int64)
    kept_score = np.empty(n_boxes, np.float64)
    kept_box = np.empty((n_boxes, 4), np.float64)
    for image in prange(n_images):
        order, member, first_of, n_flat = _candidates(
            run_start[run_pointer[image] : run_pointer[image + 1]],
            run_stop[run_pointer[image] : run_pointer[image + 1]],
            run_member[run_pointer[image] : run_pointer[image + 1]],
            category,
            n_categories,
            scores,
            x_min,
            y_min,
            x_max,
            y_max,
            weights,
            0.0,
        )
        flat[image] = n_flat
        n_candidates = len(order)
        box = np.empty((n_candidates, 4), np.float64)
        area = np.empty(n_candidates, np.float64)
        score = np.empty(n_candidates, np.float64)
        box_category = np.empty(n_candidates, np.int64)
        n_kept = 0
        for this_category in range(n_categories):
            first_kept = n_kept
            for position in range(first_of[this_category], first_of[this_category + 1]):
                row = order[position]
                left, top, right, bottom = x_min[row], y_min[row], x_max[row], y_max[row]
                own_area = (right - left) * (bottom - top)
                covered = False
                for better in range(first_kept, n_kept):
                    width = min(box[better, 2], right) - max(box[better, 0], left)
                    height = min(box[better, 3], bottom) - max(box[better, 1], top)
                    if width > 0 and height > 0:
                        shared = width * height
                        if shared / (area[better] + own_area - shared) > iou_threshold:
                            covered = True
                            break
                if not covered:
                    box[n_kept, 0], box[n_kept, 1] = left, top
                    box[n_kept, 2], box[n_kept, 3] = right, bottom
                    area[n_kept] = own_area
                    score[n_kept] = scores[row] * weights[member[position]]
                    box_category[n_kept] = category[row]
                    n_kept += 1
        by_score = np.argsort(-score[:n_kept], kind="mergesort")
        for position in range(n_kept):
            source = by_score[position]
            target = box_pointer[image] + position
            kept_category[target] = box_category[source]
            kept_score[target] = score[source]
            for side in range(4):
                kept_box[target, side] = box[source, side]
        kept[image] = n_kept
    return kept, flat, kept_category, kept_score, kept_box


# numpy's rule for division by 0 lets the compiler work on several boxes at once; no box that takes
# part has an area of 0.
@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _most_overlapped(
    lefts: Floats,
    tops: Floats,
    rights: Floats,
    bottoms: Floats,
    areas: Floats,
    n_boxes: int,
    left: float,
    top: float,
    right: float,
    bottom: float,
    iou_threshold: float,
    iou: Floats,
) -> int:
    """Which of the first `n_boxes` overlaps a given one most, and by more than the threshold.

    Looks at `LANES` boxes at once, so the columns must go on beyond `n_boxes` up to a multiple of
    that, with boxes that overlap nothing. `iou` is room for `LANES` numbers.

    Returns:
        Its number, or -1 if none does.
    """
    own_area = (right - left) * (bottom - top)
    best = -1
    best_iou = iou_threshold
    for first in range(0, n_boxes, LANES):
        n_better = 0
        for lane in range(LANES):
            other = first + lane
            width = max(min(rights[other], right) - max(lefts[other], left), 0.0)
            height = max(min(bottoms[other], bottom) - max(tops[other], top), 0.0)
            shared = width * height
            iou[lane] = shared / (areas[other] + own_area - shared)
            n_better += iou[lane] > best_iou
        if n_better > 0:
            for lane in range(LANES):
                if iou[lane] > best_iou:
                    best = first + lane
                    best_iou = iou[lane]
    return best


@njit(cache=True)  # type: ignore[untyped-decorator]
def _candidates(
    run_start: Ints,
    run_stop: Ints,
    run_member: Ints,
    category: Ints,
    n_categories: int,
    scores: Floats,
    x_min: Floats,
    y_min: Floats,
    x_max: Floats,
    y_max: Floats,
    weights: Floats,
    score_threshold: float,
) -> tuple[Ints, Ints, Ints, int]:
    """The boxes of one image that take part, in the order in which they are looked at.

    By category, then by weighted score, highest first. Equal scores are put in order by the box
    itself, so that the order of the members does not matter.

    Returns:
        Rows, (candidates,); members, (candidates,); where each category begins,
        (categories + 1,); how many boxes of no area were left out.
    """
    n_boxes = 0
    for run in range(len(run_start)):
        n_boxes += run_stop[run] - run_start[run]
    row_of = np.empty(n_boxes, np.int64)
    member_of = np.empty(n_boxes, np.int64)
    key = np.empty(n_boxes, np.float64)
    first_of = np.zeros(n_categories + 1, np.int64)
    n_candidates = 0
    n_flat = 0
    for run in range(len(run_start)):
        weight = weights[run_member[run]]
        for row in range(run_start[run], run_stop[run]):
            if scores[row] < score_threshold:
                continue
            if (x_max[row] - x_min[row]) * (y_max[row] - y_min[row]) == 0.0:
                n_flat += 1
                continue
            row_of[n_candidates] = row
            member_of[n_candidates] = run_member[run]
            key[n_candidates] = scores[row] * weight
            first_of[category[row] + 1] += 1
            n_candidates += 1
    for this_category in range(n_categories):
        first_of[this_category + 1] += first_of[this_category]
    # Numbers sort faster than what they point at: the upper half of each holds the score as
    # float32, whose bits, for numbers from 0 up, are in the order of the numbers; the lower half
    # says whose it is.
    bits = key[:n_candidates].astype(np.float32).view(np.uint32)
    packed = np.empty(n_candidates, np.int64)
    next_of = first_of.copy()
    for candidate in range(n_candidates):
        this_category = category[row_of[candidate]]
        packed[next_of[this_category]] = (np.int64(~bits[candidate]) << 32) | candidate
        next_of[this_category] += 1
    order = np.empty(n_candidates, np.int64)
    for this_category in range(n_categories):
        first, stop = first_of[this_category], first_of[this_category + 1]
        packed[first:stop].sort()
        for position in range(first, stop):
            target = position
            order[target] = packed[position] & 0xFFFFFFFF
            # Insertion among those that float32 does not tell apart: few, where there are any.
            while target > first and _comes_first(
                order[target],
                order[target - 1],
                key,
                row_of,
                member_of,
                x_min,
                y_min,
                x_max,
                y_max,
                weights,
            ):
                order[target], order[target - 1] = order[target - 1], order[target]
                target -= 1
    return row_of[order], member_of[order], first_of, n_flat


@njit(cache=True)  # type: ignore[untyped-decorator]
def _comes_first(
    a: int,
    b: int,
    key: Floats,
    row_of: Ints,
    member_of: Ints,
    x_min: Floats,
    y_min: Floats,
    x_max: Floats,
    y_max: Floats,
    weights: Floats,
) -> bool:
    """Whether candidate `a` comes before `b`, of one category, whose scores may be equal."""
    if key[a] != key[b]:
        return bool(key[a] > key[b])
    row_a, row_b = row_of[a], row_of[b]
    if x_min[row_a] != x_min[row_b]:
        return bool(x_min[row_a] < x_min[row_b])
    if y_min[row_a] != y_min[row_b]:
        return bool(y_min[row_a] < y_min[row_b])
    if x_max[row_a] != x_max[row_b]:
        return bool(x_max[row_a] < x_max[row_b])
    if y_max[row_a] != y_max[row_b]:
        return bool(y_max[row_a] < y_max[row_b])
    if weights[member_of[a]] != weights[member_of[b]]:
        return bool(weights[member_of[a]] < weights[member_of[b]])
    return bool(row_a < row_b)


@njit(cache=True)  # type: ignore[untyped-decorator]
def compact(
    box_pointer: Ints,
    kept: Ints,
    category: Ints,
    score: Floats,
    box: Floats,
) -> tuple[Ints, Floats, Floats]:
    """Put the kept boxes of all images one after the other.

    Returns:
        Category, (kept boxes,); score, (kept boxes,); box, (4, kept boxes).
    """
    n_kept = kept.sum()
    all_category = np.empty(n_kept, np.int64)
    all_score = np.empty(n_kept, np.float64)
    all_box = np.empty((4, n_kept), np.float64)
    target = 0
    for image in range(len(kept)):
        for source in range(box_pointer[image], box_pointer[image] + kept[image]):
            all_category[target] = category[source]
            all_score[target] = score[source]
            for side in range(4):
                all_box[side, target] = box[source, side]
            target += 1
    return all_category, all_score, all_box


@njit(cache=True)  # type: ignore[untyped-decorator]
def count_matches(
    pointer_a: Ints, boxes_a: Floats, pointer_b: Ints, boxes_b: Floats, iou_threshold: float
) -> int:
    """How many boxes of a and b pair off, one to one, the best pair first.

    Args:
        pointer_a: (groups + 1,), where each group (one category on one image) begins in `boxes_a`.
        boxes_a: (boxes, 4).
        pointer_b: The same for b.
        boxes_b: The same for b.
        iou_threshold: Least intersection over union of a pair.
    """
    n_matches = 0
    for group in range(len(pointer_a) - 1):
        first_a, first_b = pointer_a[group], pointer_b[group]
        n_a, n_b = pointer_a[group + 1] - first_a, pointer_b[group + 1] - first_b
        iou = np.zeros((n_a, n_b), np.float64)
        for a in range(n_a):
            for b in range(n_b):
                iou[a, b] = _iou(boxes_a[first_a + a], boxes_b[first_b + b])
        pairs = np.argsort(-iou.ravel(), kind="mergesort")
        used_a = np.zeros(n_a, np.bool_)
        used_b = np.zeros(n_b, np.bool_)
        for pair in pairs:
            a, b = pair // n_b, pair % n_b
            if iou[a, b] < iou_threshold or iou[a, b] == 0:
                break
            if not used_a[a] and not used_b[b]:
                used_a[a] = True
                used_b[b] = True
                n_matches += 1
    return n_matches


@njit(cache=True)  # type: ignore[untyped-decorator]
def _iou(a: Floats, b: Floats) -> Any:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
