"""Images put together: colours of categories, titles, legends, grids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

RgbImage: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Rgb: TypeAlias = tuple[int, int, int]

INK: Rgb = (33, 37, 41)
WHITE: Rgb = (255, 255, 255)
RIGHT: Rgb = (27, 120, 55)
WRONG: Rgb = (178, 24, 43)

GAP = 12
"""Pixels between the images of a grid, and around it."""

MIN_SIDE = 384
MAX_SIDE = 640
"""Pixels of the longer side of a drawn image, so that labels can be read."""

_FONT_SIZE = 15  # pixels
# Seven colours of Okabe and Ito's (2008) and three more: they stay apart from one another, also for
# eyes that lack one kind of cone, and from soil, grass and stone.
_TEN = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#a31aff",
    "#cc79a7", "#c4f2a6", "#f0e442", "#56b4e9", "#861358",
)  # fmt: skip


def category_colours(count: int) -> list[Rgb]:
    """One colour for each category, the same in every image.

    Args:
        count: How many categories there are.

    Returns:
        Ten chosen colours; from the eleventh on, hues a golden angle apart.

    >>> category_colours(2)
    [(0, 114, 178), (230, 159, 0)]
    """
    import colorsys

    chosen: list[Rgb] = [
        (int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)) for code in _TEN[:count]
    ]
    for index in range(len(chosen), count):
        hue = index * 0.6180339887498949 % 1
        shades = colorsys.hls_to_rgb(hue, (0.4, 0.6)[index % 2], 0.75)
        red, green, blue = (round(255 * shade) for shade in shades)
        chosen.append((red, green, blue))
    return chosen


def readable_on(colour: Rgb) -> Rgb:
    """Dark or white text, whichever is easier to read on `colour`.

    >>> readable_on((255, 240, 0)), readable_on((0, 0, 160))
    ((33, 37, 41), (255, 255, 255))
    """
    # The weights are those of luma in ITU-R BT.601.
    red, green, blue = colour
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else WHITE


def display_scale(height: int, width: int) -> float:
    """By how much to scale an image so that its longer side is from 384 to 640 pixels.

    >>> display_scale(100, 50), display_scale(500, 400), display_scale(1000, 2000)
    (3.84, 1.0, 0.32)
    """
    longer = max(height, width)
    return min(max(longer, MIN_SIDE), MAX_SIDE) / longer


def scaled(image: RgbImage, scale: float) -> RgbImage:
    """An image, scaled smoothly.

    Args:
        image: (H, W, 3) RGB.
        scale: Factor for both sides.

    >>> scaled(np.zeros((30, 40, 3), np.uint8), 0.5).shape
    (15, 20, 3)
    """
    import cv2

    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)


def titled(image: RgbImage, title: str) -> RgbImage:
    """An image under a line of text, which is cut where the image ends.

    Args:
        image: (H, W, 3) RGB.
        title: The text.

    >>> titled(np.zeros((96, 96, 3), np.uint8), "truth").shape
    (117, 96, 3)
    """
    band = text_band(image.shape[1], [(shortened(title, image.shape[1]), INK)])
    return np.concatenate([band, image])


def text_band(width: int, lines: Sequence[tuple[str, Rgb]]) -> RgbImage:
    """Lines of text on white.

    Args:
        width: Pixels.
        lines: Each line's text and colour.

    Returns:
        (lines x line height, `width`, 3) RGB.

    >>> text_band(200, [("truth", INK), ("prediction", WRONG)]).shape
    (42, 200, 3)
    """
    from PIL import Image, ImageDraw

    step = _FONT_SIZE + 6
    band = Image.new("RGB", (width, step * len(lines)), WHITE)
    draw = ImageDraw.Draw(band)
    for row, (text, colour) in enumerate(lines):
        draw.text((1, row * step + step // 2), text, fill=colour, font=font(), anchor="lm")
    return np.asarray(band, dtype=np.uint8)


def shortened(text: str, width: int) -> str:
    """`text`, or as much of its beginning as `width` pixels hold, with an ellipsis.

    >>> shortened("a name too long for its image", 100)
    'a name to…'
    """
    if font().getlength(text) <= width:
        return text
    while text and font().getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def legend(width: int, entries: Sequence[tuple[str, Rgb]]) -> RgbImage:
    """Names beside squares of their colour, in as many rows as `width` asks for.

    Args:
        width: Pixels.
        entries: Each name with its colour.

    Returns:
        (rows x row height, `width`, 3) RGB.

    >>> legend(120, [("Metal", (200, 0, 0)), ("Glass", (0, 0, 200))]).shape
    (46, 120, 3)
    """
    from PIL import Image, ImageDraw

    step, square = _FONT_SIZE + 8, _FONT_SIZE - 2
    positions: list[tuple[int, int, str, Rgb]] = []
    x = row = 0
    for name, colour in entries:
        label = shortened(name, width - square - 6)
        taken = square + 6 + round(font().getlength(label))
        if x and x + taken > width:
            x, row = 0, row + 1
        positions.append((x, row * step, label, colour))
        x += taken + 16
    band = Image.new("RGB", (width, step * (row + 1)), WHITE)
    draw = ImageDraw.Draw(band)
    for left, top, label, colour in positions:
        edge = top + (step - square) // 2
        draw.rectangle((left, edge, left + square - 1, edge + square - 1), fill=colour)
        draw.text((left + square + 6, top + step // 2), label, fill=INK, font=font(), anchor="lm")
    return np.asarray(band, dtype=np.uint8)


def side_by_side(panels: Sequence[RgbImage]) -> RgbImage:
    """Images in one row, tops level, on white.

    Args:
        panels: Each (H, W, 3) RGB.

    >>> side_by_side([np.zeros((20, 30, 3), np.uint8), np.zeros((10, 30, 3), np.uint8)]).shape
    (20, 72, 3)
    """
    return image_grid(panels, len(panels), margin=0)


def stacked(panels: Sequence[RgbImage]) -> RgbImage:
    """Images in one column, left edges level, on white.

    Args:
        panels: Each (H, W, 3) RGB.

    >>> stacked([np.zeros((20, 30, 3), np.uint8), np.zeros((10, 30, 3), np.uint8)]).shape
    (42, 30, 3)
    """
    return image_grid(panels, 1, margin=0)


def image_grid(panels: Sequence[RgbImage], columns: int, *, margin: int = GAP) -> RgbImage:
    """Images of any size in a grid, on white.

    Args:
        panels: Each (H, W, 3) RGB, in reading order.
        columns: How many there are in a row.
        margin: Pixels around the grid.

    Returns:
        (H, W, 3) RGB; a column is as wide as its widest image, a row as high as its highest.

    Raises:
        ValueError: There is no image, or no column.

    >>> image_grid([np.zeros((20, 30, 3), np.uint8)] * 5, columns=2).shape
    (108, 96, 3)
    """
    if not panels or columns < 1:
        raise ValueError("a contact sheet needs at least one image and one column")
    columns = min(columns, len(panels))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(panel.shape[0] for panel in row) for row in rows]
    widths = [max(panel.shape[1] for panel in panels[column::columns]) for column in range(columns)]
    grid = np.full(
        (
            sum(heights) + GAP * (len(rows) - 1) + 2 * margin,
            sum(widths) + GAP * (columns - 1) + 2 * margin,
            3,
        ),
        WHITE,
        dtype=np.uint8,
    )
    top = margin
    for row, height in zip(rows, heights, strict=True):
        left = margin
        for panel, width in zip(row, widths, strict=False):
            grid[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
            left += width + GAP
        top += height + GAP
    return grid


@cache
def font(size: int = _FONT_SIZE) -> FreeTypeFont:
    """Matplotlib's font, which knows many scripts, or where that is not installed, Pillow's.

    Args:
        size: Pixels.
    """
    from importlib.util import find_spec

    from PIL import ImageFont

    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        return cast("FreeTypeFont", ImageFont.load_default(size))
    path = Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)
