"""Non-maximum suppression, compiled by numba.

It calls no compiled function of another file: numba's cache notices changes to its own file only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def keep_best(
    offsets: Ints,
    x_min: Floats,
    y_min: Floats,
    x_max: Floats,
    y_max: Floats,
    iou_threshold: float,
    kept: Ints,
) -> int:
    """Keep the best of the boxes of each group that overlap.

    Args:
        offsets: (groups + 1,), where each group begins; its best box comes first.
        x_min: (boxes,).
        y_min: (boxes,).
        x_max: (boxes,).
        y_max: (boxes,).
        iou_threshold: A box that overlaps a better one by more than this goes.
        kept: (boxes,), filled with those that stay.

    Returns:
        How many stay.
    """
    suppressed = np.zeros(len(x_min), np.bool_)
    n_kept = 0
    for group in range(len(offsets) - 1):
        # Take the boxes by their score, highest first.
        for box in range(offsets[group], offsets[group + 1]):
            if suppressed[box]:
                continue
            kept[n_kept] = box
            n_kept += 1
            left, top, right, bottom = x_min[box], y_min[box], x_max[box], y_max[box]
            area = (right - left) * (bottom - top)
            # Suppress the worse ones that it overlaps.
            for worse in range(box + 1, offsets[group + 1]):
                width = min(right, x_max[worse]) - max(left, x_min[worse])
                height = min(bottom, y_max[worse]) - max(top, y_min[worse])
                if width > 0 and height > 0:
                    shared = width * height
                    worse_area = (x_max[worse] - x_min[worse]) * (y_max[worse] - y_min[worse])
                    if shared / (area + worse_area - shared) > iou_threshold:
                        suppressed[worse] = True
    return n_kept
