"""Loops over pixels, compiled by numba and parallel over blocks of them.

Importing this module imports numba; `recycling.ensembling` does so only when a function needs it.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from recycling.ensembling.threads import for_one_thread

BLOCK = 4096
"""Pixels that one thread counts at a time: their votes stay in the processor's first cache."""


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def vote(
    label_maps: NDArray[np.uint8], best_first: NDArray[np.int64], ignore: np.uint8
) -> NDArray[np.uint8]:
    """The label with most votes at each pixel; among tied ones, the best-ranked member's.

    Args:
        label_maps: (members, pixels).
        best_first: (members,), the members by rank.
        ignore: The label that has no vote.
    """
    n_members, n_pixels = label_maps.shape
    fused = np.full(n_pixels, ignore, np.uint8)
    for block in prange((n_pixels + BLOCK - 1) // BLOCK):
        first = block * BLOCK
        stop = min(first + BLOCK, n_pixels)
        winner = fused[first:stop]
        most = np.zeros(stop - first, np.uint8)
        votes = np.empty(stop - first, np.uint8)
        for candidate in best_first:
            own = label_maps[candidate, first:stop]
            votes[:] = 0
            for member in range(n_members):
                _count_equal(own, label_maps[member, first:stop], votes)
            _crown(own, votes, ignore, most, winner)
    return fused


vote_serial = for_one_thread(vote, "vote_serial")


@njit(cache=True)  # type: ignore[untyped-decorator]
def _count_equal(
    own: NDArray[np.uint8], other: NDArray[np.uint8], votes: NDArray[np.uint8]
) -> None:
    for pixel in range(len(votes)):
        votes[pixel] += np.uint8(1) if own[pixel] == other[pixel] else np.uint8(0)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _crown(
    own: NDArray[np.uint8],
    votes: NDArray[np.uint8],
    ignore: np.uint8,
    most: NDArray[np.uint8],
    winner: NDArray[np.uint8],
) -> None:
    # A later candidate must have more votes, not as many: that is the better rank's right.
    for pixel in range(len(votes)):
        wins = (votes[pixel] > most[pixel]) & (own[pixel] != ignore)
        most[pixel] = votes[pixel] if wins else most[pixel]
        winner[pixel] = own[pixel] if wins else winner[pixel]
