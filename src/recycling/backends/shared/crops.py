"""What a classifier looks at: the square around a box, at one size."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from recycling.backends.shared.fitting import halvings

MARGIN = 0.1
"""Context on each side of a box, as a share of its longer side."""


def crop_side(box: tuple[float, ...], margin: float = MARGIN) -> float:
    """The side of the square around a box, pixels.

    Args:
        box: `x_min, y_min, x_max, y_max`, pixels.
        margin: Context on each side, as a share of the box's longer side.
    """
    x_min, y_min, x_max, y_max = box
    return max(x_max - x_min, y_max - y_min, 1.0) * (1 + 2 * margin)


def cut_crop(
    image: NDArray[np.uint8],
    box: tuple[float, ...],
    size: int,
    margin: float = MARGIN,
    times_halved: int = 0,
) -> NDArray[np.uint8]:
    """Cut the square around a box out of an image; beyond its edge the last pixels repeat.

    Args:
        image: (H, W, 3); not changed.
        box: `x_min, y_min, x_max, y_max`, pixels of the whole image.
        size: Side of the result, pixels.
        margin: Context on each side, as a share of the box's longer side.
        times_halved: How often the image has been halved: not at all, or as often as the square
            stays no smaller than the result.

    Returns:
        (size, size, 3).
    """
    x_min, y_min, x_max, y_max = box
    scale = size / crop_side(box, margin)
    # Maps the square's corner to the origin.
    to_crop = np.array(
        [
            [scale, 0, size / 2 - scale * (x_min + x_max) / 2],
            [0, scale, size / 2 - scale * (y_min + y_max) / 2],
        ]
    )
    if times_halved:
        to_crop = _from_halved(to_crop, times_halved, (0, 0))
    elif scale <= 0.5:  # bilinear interpolation would skip pixels
        image, to_crop = _halved(image, to_crop, size)
    crop = cv2.warpAffine(
        image, to_crop, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, dtype=np.uint8)


def _halved(
    image: NDArray[np.uint8], to_crop: NDArray[np.float64], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Halve what a crop shows of an image as often as it stays larger than the crop.

    To halve is by far the fastest way to shrink, and looks at each pixel.

    Args:
        image: (H, W, 3); not changed.
        to_crop: (2, 3), from pixels of the image to those of the crop; shrinks.
        size: Side of the crop, pixels.

    Returns:
        The smaller image, and the map from its pixels to the crop's.
    """
    scale = float(to_crop[0, 0])
    times = halvings(1, scale)
    factor = 2**times
    first, missing = [0, 0], [0, 0]
    for axis, length in enumerate((image.shape[1], image.shape[0])):
        offset = to_crop[axis, 2]
        # One pixel of the smaller image more on each side, for the interpolation.
        begin = min(max(math.floor(-offset / scale) - factor, 0), length - 1)
        end = min(math.ceil((size - offset) / scale) + factor, length)
        n = max(1, math.ceil((end - begin) / factor)) * factor
        first[axis], missing[axis] = begin, max(0, begin + n - length)
        image = image[:, begin : begin + n] if axis == 0 else image[begin : begin + n]
    if any(missing):
        image = np.asarray(
            cv2.copyMakeBorder(image, 0, missing[1], 0, missing[0], cv2.BORDER_REPLICATE),
            np.uint8,
        )
    for _ in range(times):
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
    return image, _from_halved(to_crop, times, (first[0], first[1]))


def _from_halved(
    to_crop: NDArray[np.float64], times: int, first: tuple[int, int]
) -> NDArray[np.float64]:
    """The map of a crop for an image that begins at a pixel, and was halved from there."""
    factor = 2**times
    rescaled = to_crop.copy()
    for axis in (0, 1):
        rescaled[axis, axis] *= factor
        # From middles of pixels to middles of pixels.
        rescaled[axis, 2] += to_crop[axis, axis] * (first[axis] + factor / 2) - 0.5
    return rescaled
