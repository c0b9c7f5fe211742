"""From an image to the size at which a network sees it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from recycling.annotations.images.decoding import halved


def seen_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of an image whose longer side becomes `side`, its proportions kept.

    None is below a pixel.

    >>> seen_size(30, 60, 112), seen_size(1, 5000, 112)
    ((56, 112), (1, 112))
    """
    scale = side / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def halvings(longer: float, side: float) -> int:
    """How often a length can be halved and is still no shorter than `side`.

    >>> halvings(1023, 256), halvings(1024, 256), halvings(100, 256)
    (1, 2, 0)
    """
    return max(0, math.floor(math.log2(longer / side)))


def fitted(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image at the size at which a network sees it.

    It is halved as often as it stays no smaller than that, so that each of its pixels counts:
    to interpolate between the nearest ones alone would skip the others.

    Args:
        image: (H, W, 3).
        side: Of the result the longer side, pixels.

    >>> fitted(np.zeros((300, 600, 3), np.uint8), 112).shape
    (56, 112, 3)
    """
    height, width = image.shape[:2]
    times = halvings(max(height, width), side)
    return fitted_from_halved(halved(image, times), height, width, side)


def fitted_from_halved(
    image: NDArray[np.uint8], height: int, width: int, side: int
) -> NDArray[np.uint8]:
    """As `fitted`, of an image that has been halved as often as that.

    Args:
        image: (H, W, 3), as `halved` gives it.
        height: Of the whole image, pixels.
        width: The same.
        side: Of the result the longer side, pixels.
    """
    seen_height, seen_width = size = seen_size(height, width, side)
    factor = 2 ** halvings(max(height, width), side)
    if image.shape[0] * factor == height and image.shape[1] * factor == width:
        return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    # Its last row or column is not whole; pixels stay where they are on the image.
    scale_x, scale_y = seen_width * factor / width, seen_height * factor / height
    place = np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2]])
    placed = cv2.warpAffine(
        image, place, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(placed, np.uint8)
