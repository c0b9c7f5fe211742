"""The loop over pairs of hashes, compiled by numba.

Importing this module imports numba; `near_duplicates` does so only when a function needs it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Pairs = NDArray[np.int64]


@njit(cache=True)  # type: ignore[untyped-decorator]
def pairs_in_buckets(
    hashes: NDArray[np.uint64],
    bucket: NDArray[np.int64],
    start: NDArray[np.int64],
    flips: NDArray[np.int64],
    max_distance: int,
) -> Pairs:
    """Pairs of near hashes whose buckets' numbers differ by one of the given patterns of bits.

    Args:
        hashes: (hashes,), ordered by bucket.
        bucket: The bucket of each hash, (hashes,).
        start: Where each bucket begins, (buckets + 1,).
        flips: Patterns of bits; 0 stands for a bucket with itself.
        max_distance: Largest number of differing bits between two near hashes.

    Returns:
        Row numbers, (pairs, 2); no pair occurs twice.
    """
    found: Pairs = np.empty((1024, 2), np.int64)
    n_found = 0
    for flip in flips:
        for row in range(len(hashes)):
            other = bucket[row] ^ flip
            if other < bucket[row]:
                continue  # seen from the other side
            first = row + 1 if flip == 0 else start[other]
            for candidate in range(first, start[other + 1]):
                if _popcount(hashes[row] ^ hashes[candidate]) <= max_distance:
                    if n_found == len(found):
                        found = np.concatenate((found, np.empty_like(found)))
                    found[n_found, 0] = row
                    found[n_found, 1] = candidate
                    n_found += 1
    return found[:n_found]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _popcount(bits: np.uint64) -> np.int64:
    """How many bits are set: sums of 2, 4 and 8 neighbours, then of all bytes at once."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + (
        (bits >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))
