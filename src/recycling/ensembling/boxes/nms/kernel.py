"""Non-maximum suppression, compiled by numba.

It calls no compiled function of another file: numba's cache notices changes to its own file only.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
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
    n_kept = 0
    for group in range(len(offsets) - 1):
        first_kept = n_kept
        # Take the boxes by their score, highest first.
        for box in range(offsets[group], offsets[group + 1]):
            area = (x_max[box] - x_min[box]) * (y_max[box] - y_min[box])
            stays = True
            for better in kept[first_kept:n_kept]:
                width = min(x_max[box], x_max[better]) - max(x_min[box], x_min[better])
                height = min(y_max[box], y_max[better]) - max(y_min[box], y_min[better])
                if width > 0 and height > 0:
                    shared = width * height
                    better_area = (x_max[better] - x_min[better]) * (y_max[better] - y_min[better])
                    if shared / (better_area + area - shared) > iou_threshold:
                        stays = False
                        break
            if stays:
                kept[n_kept] = box
                n_kept += 1
    return n_kept
