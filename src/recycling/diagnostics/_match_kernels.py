"""Small loops over boxes, compiled by numba.

Importing this module imports numba; `recycling.diagnostics` does so only when a function needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True)
def count_matches(
    pointer_a: Ints, boxes_a: Floats, pointer_b: Ints, boxes_b: Floats, iou_threshold: float
) -> Ints:
    """How many boxes of a and b match one to one in each group, the best match first.

    Args:
        pointer_a: (groups + 1,), where each group (one category on one image) begins in `boxes_a`.
        boxes_a: (boxes, 4).
        pointer_b: The same for b.
        boxes_b: The same for b.
        iou_threshold: Least intersection over union of a match.

    Returns:
        (groups,) matches.
    """
    n_matches = np.zeros(len(pointer_a) - 1, np.int64)
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
                n_matches[group] += 1
    return n_matches


@njit(cache=True)
def _iou(a: Floats, b: Floats) -> Any:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
