"""Loops over class numbers as text, compiled by numba.

One thread each; they let go of Python's lock, so a caller may have a thread a row.

Importing this module imports numba; `recycling.predictions` does so only when a function needs it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

SPACE = np.uint8(ord(" "))
ZERO = np.uint8(ord("0"))

GOOD, NO_NUMBER, NO_CLASS, WRONG_COUNT = range(4)
"""What `parse` finds."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def parse_plain(text: Bytes, n_classes: int, numbers: Bytes) -> bool:
    """Read numbers of one or two digits with one space between them, the usual form.

    Args:
        text: (bytes,), read-only.
        n_classes: Numbers are below this.
        numbers: (pixels,), filled.

    Returns:
        Whether the text is just that: if not, it is for `parse` to say what it is.
    """
    n_bytes, last = len(text), len(numbers) - 1
    below = np.uint8(n_classes)
    at = 0
    bad = np.uint8(0)
    # What is wrong is only added up, so that the loop has no branch to guess wrong.
    for pixel in range(last):
        if at + 3 > n_bytes:
            return False
        number = np.uint8(text[at] - ZERO)
        bad |= np.uint8(number > 9)
        if text[at + 1] == SPACE:
            at += 2
        else:
            digit = np.uint8(text[at + 1] - ZERO)
            bad |= np.uint8(digit > 9) | np.uint8(text[at + 2] != SPACE)
            number = np.uint8(number * np.uint8(10) + digit)
            at += 3
        bad |= np.uint8(number >= below)
        numbers[pixel] = number
    if bad or not 1 <= n_bytes - at <= 2:
        return False
    final = 0
    for place in range(at, n_bytes):
        digit = np.uint8(text[place] - ZERO)
        if digit > 9:
            return False
        final = final * 10 + int(digit)
    numbers[last] = final
    return final < n_classes


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def parse(text: Bytes, n_classes: int, numbers: Bytes) -> tuple[int, int]:
    """Read numbers of any length with any spaces around them; say what is wrong.

    Args:
        text: (bytes,), read-only.
        n_classes: Numbers are below this.
        numbers: (pixels,), filled.

    Returns:
        `GOOD` and the count; `NO_NUMBER` or `NO_CLASS` and which number, counted from 0, is the
        first such; else `WRONG_COUNT` and the count.
    """
    count, fault, first = 0, GOOD, 0
    at = 0
    while True:
        while at < len(text) and text[at] == SPACE:
            at += 1
        if at == len(text):
            break
        number, digits = 0, True
        while at < len(text) and text[at] != SPACE:
            digit = int(text[at]) - 48
            if not 0 <= digit <= 9:
                digits = False
            number = min(number * 10 + digit, 1000)
            at += 1
        if not digits and fault != NO_NUMBER:
            fault, first = NO_NUMBER, count
        elif digits and number >= n_classes and fault == GOOD:
            fault, first = NO_CLASS, count
        elif count < len(numbers):
            numbers[count] = np.uint8(number)
        count += 1
    if fault == NO_NUMBER or (fault == NO_CLASS and count == len(numbers)):
        return fault, first
    return (GOOD if count == len(numbers) else WRONG_COUNT), count


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def print_numbers(numbers: Bytes, text: Bytes) -> int:
    """Write numbers with one space after each.

    Args:
        numbers: (pixels,).
        text: At least 4 bytes a pixel, filled.

    Returns:
        How many bytes were filled; the last is a space.
    """
    at = 0
    for number in numbers:
        if number >= 100:
            text[at] = number // np.uint8(100) + ZERO
            at += 1
        if number >= 10:
            text[at] = number // np.uint8(10) % np.uint8(10) + ZERO
            at += 1
        text[at] = number % np.uint8(10) + ZERO
        text[at + 1] = SPACE
        at += 2
    return at
