"""Close-ups: a square around boxes, in which they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.reporting.layout import WHITE, Rgb, RgbImage, scaled, shortened

BEFORE: Rgb = (217, 119, 74)
"""What was there."""

AFTER: Rgb = (24, 100, 171)
"""What is, or would be, instead."""

NO_IMAGE: Rgb = (233, 236, 239)
"""Where there is no image."""

_SURROUNDINGS = 0.6  # of the box's longer side, on each side
_MIN_SURROUNDINGS = 24  # pixels
_SMALL = 8  # pixels on the tile; a smaller box is ringed instead


def close_up(
    image: RgbImage, boxes: Sequence[tuple[NDArray[np.float64], Rgb]], side: int
) -> RgbImage:
    """The surroundings of boxes, with the boxes in their colours.

    Args:
        image: (H, W, 3) RGB.
        boxes: Each (4,) `x_min, y_min, x_max, y_max`, pixels, with its colour.
        side: Of the result, pixels.

    Returns:
        (side, side, 3) RGB; what lies outside the image is grey.

    >>> image = np.zeros((100, 200, 3), np.uint8)
    >>> close_up(image, [(np.array([10.0, 20, 60, 40]), AFTER)], 50).shape
    (50, 50, 3)
    """
    corners = np.array([box for box, _ in boxes])
    left, top, shown = surroundings(corners)
    tile = scaled(window(image, left, top, shown), side / shown)[:side, :side]
    for box, colour in boxes:
        draw_box(tile, (box - [left, top, left, top]) * side / shown, colour)
    return tile


def surroundings(boxes: NDArray[np.float64]) -> tuple[int, int, int]:
    """Left, top and side of the square to show around boxes (N, 4), whole pixels.

    >>> surroundings(np.array([[10.0, 20, 60, 40]]))
    (-20, -25, 110)
    """
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    longer = float((high - low).max())
    side = round(longer + 2 * max(_SURROUNDINGS * longer, _MIN_SURROUNDINGS))
    left, top = np.floor((low + high - side) / 2).astype(int).tolist()
    return left, top, side


def near(boxes: Sequence[Sequence[float]], height: int, width: int) -> NDArray[np.float64]:
    """Boxes (N, 4) no further from an image than that is large: raw ones may be of any size.

    >>> near([[-5, 0, 1e12, 4]], height=10, width=20).tolist()
    [[-5.0, 0.0, 40.0, 4.0]]
    """
    reach = np.tile([width, height], 2)
    return np.clip(np.asarray(boxes, dtype=np.float64), -reach, 2 * reach)


def window(image: NDArray[Any], left: int, top: int, side: int) -> NDArray[Any]:
    """A square of an image; what lies outside it is grey, or false.

    >>> window(np.ones((2, 3), np.bool_), left=2, top=0, side=2).tolist()
    [[True, False], [True, False]]
    """
    outside = NO_IMAGE if image.ndim == 3 else False
    square = np.full((side, side, *image.shape[2:]), outside, dtype=image.dtype)
    height, width = image.shape[:2]
    x_min, y_min = max(left, 0), max(top, 0)
    x_max, y_max = min(left + side, width), min(top + side, height)
    if x_min < x_max and y_min < y_max:
        square[y_min - top : y_max - top, x_min - left : x_max - left] = image[
            y_min:y_max, x_min:x_max
        ]
    return square


def draw_box(tile: RgbImage, corners: NDArray[np.float64], colour: Rgb) -> None:
    """Draw a box, in place; one too small to be seen is ringed.

    Args:
        tile: (H, W, 3) RGB.
        corners: (4,) `x_min, y_min, x_max, y_max`, pixels of the tile.
        colour: Its colour.
    """
    import cv2

    x_min, y_min, x_max, y_max = np.rint(corners).astype(int).tolist()
    for ink, thickness in ((WHITE, 4), (colour, 2)):
        if max(x_max - x_min, y_max - y_min) < _SMALL:
            cv2.circle(tile, (x_min, y_min), _SMALL, ink, thickness, cv2.LINE_AA)
        else:
            cv2.rectangle(tile, (x_min, y_min), (x_max, y_max), ink, thickness, cv2.LINE_AA)


def wrapped(text: str, width: int, count: int) -> list[str]:
    """`text` in at most `count` lines that are `width` pixels wide; the last one may be cut.

    >>> wrapped("drawn around no object at all", 120, 2)
    ['drawn around', 'no object at all']
    """
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < count - 1:
        taken = 1
        while taken < len(words) and not shortened(" ".join(words[: taken + 1]), width).endswith(
            "…"
        ):
            taken += 1
        lines.append(shortened(" ".join(words[:taken]), width))
        words = words[taken:]
    if words:
        lines.append(shortened(" ".join(words), width))
    return lines
