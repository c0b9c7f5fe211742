"""Pixel-wise hard voting, compiled by numba.

It works on a block of pixels at a time, member by member: loops over bytes side by side, which the
compiler turns into vector instructions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

Bytes = NDArray[np.uint8]

BLOCK = 4096
"""Pixels that are counted at a time: their votes stay in the processor's cache."""


@njit(cache=True, nogil=True)
def vote(label_maps: Bytes, best_first: NDArray[np.int64], ignore: np.uint8) -> Bytes:
    """The label with most votes at each pixel; among tied ones, the best-ranked member's.

    Args:
        label_maps: (members, pixels), 1 to 255 members.
        best_first: (members,), the members by rank.
        ignore: The label that has no vote.
    """
    n_members, n_pixels = label_maps.shape
    fused = np.full(n_pixels, ignore, np.uint8)
    most, votes = np.empty(BLOCK, np.uint8), np.empty(BLOCK, np.uint8)
    for start in range(0, n_pixels, BLOCK):
        stop = min(start + BLOCK, n_pixels)
        most[:] = 0
        # A label is counted from the best-ranked member that has it: only worse ones are compared
        # with it, and a count from a worse one is smaller, so it never wins.
        for rank in range(n_members - 1, -1, -1):
            own = label_maps[best_first[rank], start:stop]
            votes[:] = 1
            for worse in range(rank + 1, n_members):
                _count_equal(own, label_maps[best_first[worse], start:stop], votes)
            _take_the_lead(own, votes, ignore, most, fused[start:stop])
    return fused


@njit(cache=True, nogil=True)
def _count_equal(own: Bytes, other: Bytes, votes: Bytes) -> None:
    for pixel in range(len(own)):
        votes[pixel] = np.uint8(votes[pixel] + (own[pixel] == other[pixel]))


@njit(cache=True, nogil=True)
def _take_the_lead(own: Bytes, votes: Bytes, ignore: np.uint8, most: Bytes, fused: Bytes) -> None:
    # As many votes are enough: members come from the worst to the best, and a tie is the better's.
    # What may be written back is read first: then there is no branch, and pixels go side by side.
    for pixel in range(len(own)):
        label, count, highest, held = own[pixel], votes[pixel], most[pixel], fused[pixel]
        leads = (count >= highest) & (label != ignore)
        most[pixel] = count if leads else highest
        fused[pixel] = label if leads else held
