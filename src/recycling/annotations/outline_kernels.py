"""Where the corners of polygons are, read from their text: a billion letters in seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

_NINE, _ZERO, _MINUS, _POINT = ord("9"), ord("0"), ord("-"), ord(".")
_EXPONENTS = (ord("e"), ord("E"))


@njit(cache=True, nogil=True)
def may_reach_beyond(
    letters: NDArray[np.uint8],
    ends: NDArray[np.int64],
    sides: NDArray[np.float64],
    beyond: NDArray[np.bool_],
) -> None:
    """Find polygons with a corner further beyond their image than the image is wide or high.

    Only whole pixels are looked at, and an exponent counts as far: what is found is to be read.

    Args:
        letters: JSON texts of polygons, ``[[x, y, x, y, ...], ...]``, one after the other.
        ends: (texts + 1,), where each begins, and the last ends.
        sides: (texts, 2), width and height of the image.
        beyond: (texts,), filled in.
    """
    for text in range(len(ends) - 1):
        axis, number, negative, inside, fraction = 0, 0.0, False, False, False
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
                axis = 1 - axis
                number, negative, inside, fraction = 0.0, False, False, False
