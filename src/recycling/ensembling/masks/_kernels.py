"""Loops over pixels, compiled by numba.

One thread each: an image takes well under a millisecond (planes: a few), which a second thread
halves at best, and where other programs want the processor waiting for it takes many times as long.
They let go of Python's lock, so that a caller may have a thread an image.

Importing this module imports numba; `recycling.ensembling` does so only when a function needs it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

BLOCK = 4096
"""Pixels that are counted at a time: their votes and sums stay in the processor's caches."""

FEW = 8
"""Members whose votes are counted in the processor's registers, one comparison a pair."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def vote_of_few(label_maps: Bytes, best_first: NDArray[np.int64], ignore: np.uint8) -> Bytes:
    """The label with most votes at each pixel; among tied ones, the best-ranked member's.

    Args:
        label_maps: (members, pixels), 1 to `FEW` members.
        best_first: (members,), the members by rank.
        ignore: The label that has no vote.
    """
    n_members, n_pixels = label_maps.shape
    fused = np.empty(n_pixels, np.uint8)
    silent = np.full(BLOCK, ignore, np.uint8)
    for start in range(0, n_pixels, BLOCK):
        stop = min(start + BLOCK, n_pixels)
        # The places of missing members are taken by one that has no vote anywhere.
        nobody = silent[: stop - start]
        _vote_of_eight(
            label_maps[best_first[0], start:stop],
            label_maps[best_first[1], start:stop] if n_members > 1 else nobody,
            label_maps[best_first[2], start:stop] if n_members > 2 else nobody,
            label_maps[best_first[3], start:stop] if n_members > 3 else nobody,
            label_maps[best_first[4], start:stop] if n_members > 4 else nobody,
            label_maps[best_first[5], start:stop] if n_members > 5 else nobody,
            label_maps[best_first[6], start:stop] if n_members > 6 else nobody,
            label_maps[best_first[7], start:stop] if n_members > 7 else nobody,
            ignore,
            fused[start:stop],
        )
    return fused


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _vote_of_eight(
    first: Bytes,
    second: Bytes,
    third: Bytes,
    fourth: Bytes,
    fifth: Bytes,
    sixth: Bytes,
    seventh: Bytes,
    eighth: Bytes,
    ignore: np.uint8,
    fused: Bytes,
) -> None:
    # A label is counted from the best-ranked member that has it: only worse ones are compared with,
    # and a count from a worse one is smaller, so it never wins. All stays 8 bits wide and without
    # branches, so that the compiler takes 32 pixels (64 where the processor can) at a time.
    for pixel in range(len(fused)):
        a, b, c, d = first[pixel], second[pixel], third[pixel], fourth[pixel]
        e, f, g, h = fifth[pixel], sixth[pixel], seventh[pixel], eighth[pixel]
        most, winner = np.uint8(0), ignore
        votes = np.uint8(1)
        most, winner = _better(h, votes, ignore, most, winner)
        votes = np.uint8(1 + (g == h))
        most, winner = _better(g, votes, ignore, most, winner)
        votes = np.uint8(1 + (f == g) + (f == h))
        most, winner = _better(f, votes, ignore, most, winner)
        votes = np.uint8(1 + (e == f) + (e == g) + (e == h))
        most, winner = _better(e, votes, ignore, most, winner)
        votes = np.uint8(1 + (d == e) + (d == f) + (d == g) + (d == h))
        most, winner = _better(d, votes, ignore, most, winner)
        votes = np.uint8(1 + (c == d) + (c == e) + (c == f) + (c == g) + (c == h))
        most, winner = _better(c, votes, ignore, most, winner)
        votes = np.uint8(1 + (b == c) + (b == d) + (b == e) + (b == f) + (b == g) + (b == h))
        most, winner = _better(b, votes, ignore, most, winner)
        votes = np.uint8(
            1 + (a == b) + (a == c) + (a == d) + (a == e) + (a == f) + (a == g) + (a == h)
        )
        most, winner = _better(a, votes, ignore, most, winner)
        fused[pixel] = winner


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def vote_of_many(label_maps: Bytes, best_first: NDArray[np.int64], ignore: np.uint8) -> Bytes:
    """As `vote_of_few`, for any number of members up to 255."""
    n_members, n_pixels = label_maps.shape
    fused = np.full(n_pixels, ignore, np.uint8)
    most = np.empty(BLOCK, np.uint8)
    votes = np.empty(BLOCK, np.uint8)
    for start in range(0, n_pixels, BLOCK):
        stop = min(start + BLOCK, n_pixels)
        most[:] = 0
        for rank in range(n_members - 1, -1, -1):
            own = label_maps[best_first[rank], start:stop]
            votes[:] = 1
            for worse in range(rank + 1, n_members):
                _count_equal(own, label_maps[best_first[worse], start:stop], votes)
            _crown(own, votes, ignore, most, fused[start:stop])
    return fused


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count_equal(own: Bytes, other: Bytes, votes: Bytes) -> None:
    for pixel in range(len(own)):
        votes[pixel] = np.uint8(votes[pixel] + (own[pixel] == other[pixel]))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _crown(own: Bytes, votes: Bytes, ignore: np.uint8, most: Bytes, winner: Bytes) -> None:
    for pixel in range(len(own)):
        most[pixel], winner[pixel] = _better(
            own[pixel], votes[pixel], ignore, most[pixel], winner[pixel]
        )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _better(
    label: np.uint8, votes: np.uint8, ignore: np.uint8, most: np.uint8, winner: np.uint8
) -> tuple[np.uint8, np.uint8]:
    # As many votes are enough: members come from the worst to the best, and a tie is the better's.
    wins = (votes >= most) & (label != ignore)
    return (votes if wins else most), (label if wins else winner)


Planes = NDArray[np.uint8] | NDArray[np.float32]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def most_probable(planes: Planes, weights: NDArray[np.float32]) -> Bytes:
    """The class with the largest weighted sum at each pixel; among equal ones, the first.

    Args:
        planes: (members, classes, pixels).
        weights: (members,); a member of weight 0 is not looked at.
    """
    _, n_classes, n_pixels = planes.shape
    fused = np.empty(n_pixels, np.uint8)
    total = np.empty(BLOCK, np.float32)
    largest = np.empty(BLOCK, np.float32)
    winner = np.empty(BLOCK, np.int32)
    for start in range(0, n_pixels, BLOCK):
        stop = min(start + BLOCK, n_pixels)
        largest[:] = -1
        for label in range(n_classes):
            _weighted_sum(planes, weights, label, start, stop, total)
            _crown_larger(total, np.int32(label), largest, winner)
        for pixel in range(start, stop):
            fused[pixel] = winner[pixel - start]
    return fused


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _crown_larger(
    total: NDArray[np.float32],
    label: np.int32,
    largest: NDArray[np.float32],
    winner: NDArray[np.int32],
) -> None:
    # Floats from 0 up are in the order of their bits. As integers they let the compiler write each
    # maximum; of floats it writes those that changed, which takes processors several times as long.
    new_bits, old_bits = total.view(np.int32), largest.view(np.int32)
    for pixel in range(len(new_bits)):
        new, old, held = new_bits[pixel], old_bits[pixel], winner[pixel]
        old_bits[pixel] = max(new, old)
        winner[pixel] = label if new > old else held


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def weighted_mean(
    planes: Planes, weights: NDArray[np.float32], rounding: np.float32, mean: Planes
) -> None:
    """Fill `mean`, (classes, pixels), with the weighted mean of the members.

    Args:
        planes: (members, classes, pixels), of the type of `mean`.
        weights: (members,), of sum 1; a member of weight 0 is not looked at.
        rounding: What is added to a mean before its fraction is cut off: 0.5 for whole numbers.
        mean: Where the result goes.
    """
    _, n_classes, n_pixels = planes.shape
    total = np.empty(BLOCK, np.float32)
    for label in range(n_classes):
        for start in range(0, n_pixels, BLOCK):
            stop = min(start + BLOCK, n_pixels)
            _weighted_sum(planes, weights, label, start, stop, total)
            own = mean[label, start:stop]
            for pixel in range(len(own)):
                own[pixel] = total[pixel] + rounding


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _weighted_sum(
    planes: Planes,
    weights: NDArray[np.float32],
    label: int,
    start: int,
    stop: int,
    total: NDArray[np.float32],
) -> None:
    total[:] = 0
    for member in range(len(weights)):
        if weights[member] != 0:
            _add(planes[member, label, start:stop], weights[member], total)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(own: Planes, weight: np.float32, total: NDArray[np.float32]) -> None:
    for pixel in range(len(own)):
        total[pixel] += weight * np.float32(own[pixel])
