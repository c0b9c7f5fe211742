"""Texts of outlines, a billion letters in seconds: where corners are, and counts of RLEs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

_NINE, _ZERO, _MINUS, _POINT, _CLOSING = ord("9"), ord("0"), ord("-"), ord("."), ord("]")
_EXPONENTS = (ord("e"), ord("E"))


@njit(cache=True, nogil=True)
def may_reach_beyond(
    letters: NDArray[np.uint8],
    ends: NDArray[np.int64],
    sides: NDArray[np.float64],
    longest: int,
    most: int,
    beyond: NDArray[np.bool_],
) -> None:
    """Find polygons with a corner further beyond their image than the image is wide or high.

    Likewise those whose outline is longer than `longest`, and texts of more than `most` polygons.
    Only whole pixels are looked at, and an exponent counts as far: what is found is to be read.

    Args:
        letters: JSON texts of polygons, ``[[x, y, x, y, ...], ...]``, one after the other.
        ends: (texts + 1,), where each begins, and the last ends.
        sides: (texts, 2), width and height of the image.
        longest: Pixels of all outlines of a text, along the longer side of each edge.
        most: Polygons of a text.
        beyond: (texts,), filled in.
    """
    for text in range(len(ends) - 1):
        axis, number, negative, inside, fraction = 0, 0.0, False, False, False
        n_polygons, length = 0, 0.0
        n_corners, x, y, last_x, last_y, first_x, first_y = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for place in range(ends[text], ends[text + 1]):
            letter = letters[place]
            if _ZERO <= letter <= _NINE:
                inside = True
                if not fraction:
                    number = 10 * number + (letter - _ZERO)
            elif letter == _MINUS:
                negative = True
            elif letter == _POINT:
                fraction = True
            elif letter in _EXPONENTS:
                beyond[text] = True
            elif inside:
                side = sides[text, axis]
                if number >= (side if negative else 2 * side):
                    beyond[text] = True
                number = -number if negative else number
                if axis == 0:
                    x = number
                else:
                    y = number
                    if n_corners:
                        length += max(abs(x - last_x), abs(y - last_y)) + 1
                    else:
                        first_x, first_y = x, y
                    last_x, last_y = x, y
                    n_corners += 1
                axis = 1 - axis
                number, negative, inside, fraction = 0.0, False, False, False
            if letter == _CLOSING:
                if n_corners:
                    length += max(abs(first_x - last_x), abs(first_y - last_y)) + 1
                n_polygons, n_corners = n_polygons + 1, 0
        # The bracket around all polygons is counted, too.
        if length > longest or n_polygons > most + 1:
            beyond[text] = True


@njit(cache=True, nogil=True)
def write_counts(counts: NDArray[np.int64], letters: NDArray[np.uint8]) -> int:
    """Write the counts of an RLE as the text that they are compressed to.

    Source: rleToString of pycocotools, which has six letters for a count and one none for the end.

    Args:
        counts: (counts,), from 0 to 2^32.
        letters: (7 * counts,), filled in.

    Returns:
        How many letters there are.
    """
    place = 0
    for row in range(len(counts)):
        number, is_more = counts[row], True
        if row > 2:
            number -= counts[row - 2]
        while is_more:
            digits = number & 31
            number >>= 5
            is_more = number != (-1 if digits & 16 else 0)
            letters[place] = 48 + digits + (32 if is_more else 0)
            place += 1
    return place
