"""Small, medium and large objects, as COCO has them."""

from __future__ import annotations

import pandas as pd

SIZES = ("small", "medium", "large")
"""Of objects, as COCO has them: areas up to 32² pixels, up to 96², and above; an object whose area
is exactly a limit is of both sizes."""

AREA_RANGES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
"""Of objects, in square pixels: all, and COCO's small, medium and large."""


def is_of_size(areas: pd.Series[float], size: str) -> pd.Series[bool]:
    """Which objects are of a size; each is of one, at a limit of the smaller.

    Args:
        areas: Square pixels.
        size: One of `SIZES`.

    >>> is_of_size(pd.Series([100.0, 1024.0, 1025.0]), "small").tolist()
    [True, True, False]
    """
    low, high = AREA_RANGES[1 + SIZES.index(size)]
    return (areas <= high) & ((areas > low) | (low == 0))
