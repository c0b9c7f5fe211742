"""Weighted sums of probability planes of bytes, compiled by numba.

They are summed a block of pixels at a time, where numpy would turn all planes into floats first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

BLOCK = 4096
"""Pixels that are summed at a time: their sums stay in the processor's cache."""


@njit(cache=True, nogil=True)
def most_probable(planes: Bytes, weights: Floats) -> Bytes:
    """The class with the largest weighted sum at each pixel; among equal ones, the first.

    Args:
        planes: (members, classes, pixels).
        weights: (members,); a member of weight 0 is not looked at.
    """
    _, n_classes, n_pixels = planes.shape
    fused = np.zeros(n_pixels, np.uint8)
    total, largest = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for start in range(0, n_pixels, BLOCK):
        stop = min(start + BLOCK, n_pixels)
        largest[:] = -1
        for label in range(n_classes):
            _weighted_sum(planes, weights, label, start, stop, total)
            _take_the_lead(total, np.uint8(label), largest, fused[start:stop])
    return fused


@njit(cache=True, nogil=True)
def _weighted_sum(
    planes: Bytes, weights: Floats, label: int, start: int, stop: int, total: Floats
) -> None:
    total[:] = 0
    for member in range(len(weights)):
        if weights[member] != 0:
            own = planes[member, label, start:stop]
            for pixel in range(len(own)):
                total[pixel] += weights[member] * np.float32(own[pixel])


@njit(cache=True, nogil=True)
def _take_the_lead(total: Floats, label: np.uint8, largest: Floats, fused: Bytes) -> None:
    # What may be written back is read first: then there is no branch, and pixels go side by side.
    for pixel in range(len(fused)):
        new, highest, held = total[pixel], largest[pixel], fused[pixel]
        leads = new > highest
        largest[pixel] = new if leads else highest
        fused[pixel] = label if leads else held
