"""Soft-NMS, compiled by numba.

It calls no compiled function of another file: numba's cache notices changes to its own file only.
"""

from __future__ import annotations

from math import exp

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GAUSSIAN, LINEAR = range(2)
"""The ways in which scores decay, in the order of `Decay`."""


@njit(cache=True, nogil=True, error_model="numpy")
def lower_scores(
    offsets: Ints,
    score: Floats,
    x_min: Floats,
    y_min: Floats,
    x_max: Floats,
    y_max: Floats,
    decay: int,
    iou_threshold: float,
    sigma: float,
    score_threshold: float,
    picked: Ints,
) -> int:
    """Pick the boxes of each group and lower the scores of others (Bodla et al., 2017).

    Args:
        offsets: (groups + 1,), where each group begins.
        score: (boxes,), the highest of each group first; lowered in place.
        x_min: (boxes,).
        y_min: (boxes,).
        x_max: (boxes,).
        y_max: (boxes,).
        decay: `GAUSSIAN` or `LINEAR`.
        iou_threshold: Of `LINEAR`: overlaps up to this lower nothing.
        sigma: Of `GAUSSIAN`.
        score_threshold: Boxes whose score is not above this go.
        picked: (boxes,), filled with the boxes that stay, in the order in which they are picked.

    Returns:
        How many stay.
    """
    remaining = np.empty(len(score), np.int64)
    n_picked = 0
    for group in range(len(offsets) - 1):
        n_remaining = 0
        for box in range(offsets[group], offsets[group + 1]):
            if score[box] > score_threshold:
                remaining[n_remaining] = box
                n_remaining += 1
        while n_remaining > 0:
            # Pick the box with the highest score; of equals the one that was better to begin with.
            best = remaining[0]
            for i in range(1, n_remaining):
                if score[remaining[i]] > score[best]:
                    best = remaining[i]
            picked[n_picked] = best
            n_picked += 1
            best_area = (x_max[best] - x_min[best]) * (y_max[best] - y_min[best])
            # Lower the scores of the others by how much they overlap it.
            n_left = 0
            for i in range(n_remaining):
                box = remaining[i]
                if box == best:
                    continue
                width = min(x_max[box], x_max[best]) - max(x_min[box], x_min[best])
                height = min(y_max[box], y_max[best]) - max(y_min[box], y_min[best])
                if width > 0 and height > 0:
                    shared = width * height
                    area = (x_max[box] - x_min[box]) * (y_max[box] - y_min[box])
                    iou = shared / (best_area + area - shared)
                    if decay == GAUSSIAN:
                        score[box] *= exp(-iou * iou / sigma)
                    elif iou > iou_threshold:
                        score[box] *= 1.0 - iou
                if score[box] > score_threshold:
                    remaining[n_left] = box
                    n_left += 1
            n_remaining = n_left
    return n_picked
