"""Pictures put together: colours of categories, titles, legends, sheets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recycling.files import new_file

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Picture: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Rgb: TypeAlias = tuple[int, int, int]

INK: Rgb = (33, 37, 41)
PAPER: Rgb = (255, 255, 255)
RIGHT: Rgb = (27, 120, 55)
WRONG: Rgb = (178, 24, 43)

MIN_SIDE = 384
MAX_SIDE = 640

_GAP = 12
_TEXT = 15
# Ten hues that stay apart from one another, and from soil, grass and stone.
_TEN = (
    "#2f7ed8", "#ff7f0e", "#2ca02c", "#e41a1c", "#a64dff",
    "#f032e6", "#fabed4", "#b5e61d", "#17becf", "#ffe119",
)  # fmt: skip


def category_colours(count: int) -> list[Rgb]:
    """One colour for each category, the same in every picture.

    Args:
        count: How many categories there are.

    Returns:
        Ten chosen colours; from the eleventh on, hues a golden angle apart.
    """
    import colorsys

    chosen: list[Rgb] = [
        (int(each[1:3], 16), int(each[3:5], 16), int(each[5:7], 16)) for each in _TEN[:count]
    ]
    for index in range(len(chosen), count):
        hue = index * 0.6180339887498949 % 1
        shades = colorsys.hls_to_rgb(hue, (0.4, 0.6)[index % 2], 0.75)
        red, green, blue = (round(255 * shade) for shade in shades)
        chosen.append((red, green, blue))
    return chosen


def readable_on(colour: Rgb) -> Rgb:
    """Ink or paper, whichever is easier to read on `colour`."""
    red, green, blue = colour
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else PAPER


def display_scale(height: int, width: int) -> float:
    """By how much to scale a picture so that its longer side is from 384 to 640 pixels."""
    longer = max(height, width)
    return min(max(longer, MIN_SIDE), MAX_SIDE) / longer


def scaled(picture: Picture, scale: float) -> Picture:
    """A photograph, scaled smoothly.

    Args:
        picture: (H, W, 3) RGB.
        scale: Factor for both sides.
    """
    import cv2

    height, width = picture.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)


def titled(picture: Picture, title: str, colour: Rgb = INK) -> Picture:
    """A picture under a line of text, which is cut where the picture ends.

    Args:
        picture: (H, W, 3) RGB.
        title: The text.
        colour: The text's colour.
    """
    band = text_band(picture.shape[1], [(fitting(title, picture.shape[1]), colour)])
    return np.concatenate([band, picture])


def text_band(width: int, lines: Sequence[tuple[str, Rgb]]) -> Picture:
    """Lines of text on white.

    Args:
        width: Pixels.
        lines: Each line's text and colour.

    Returns:
        (lines x line height, `width`, 3) RGB.
    """
    from PIL import Image, ImageDraw

    step = _TEXT + 6
    band = Image.new("RGB", (width, step * len(lines)), PAPER)
    draw = ImageDraw.Draw(band)
    for row, (text, colour) in enumerate(lines):
        draw.text((1, row * step + step // 2), text, fill=colour, font=font(_TEXT), anchor="lm")
    return np.asarray(band, dtype=np.uint8)


def fitting(text: str, width: int) -> str:
    """`text`, or as much of its beginning as `width` pixels hold, with an ellipsis."""
    if font(_TEXT).getlength(text) <= width:
        return text
    while text and font(_TEXT).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def legend(width: int, entries: Sequence[tuple[str, Rgb]]) -> Picture:
    """Names beside squares of their colour, in as many rows as `width` asks for.

    Args:
        width: Pixels.
        entries: Each name with its colour.

    Returns:
        (rows x row height, `width`, 3) RGB.
    """
    from PIL import Image, ImageDraw

    step, square = _TEXT + 8, _TEXT - 2
    places: list[tuple[int, int, str, Rgb]] = []
    x = row = 0
    for name, colour in entries:
        label = fitting(name, width - square - 6)
        taken = square + 6 + round(font(_TEXT).getlength(label))
        if x and x + taken > width:
            x, row = 0, row + 1
        places.append((x, row * step, label, colour))
        x += taken + 16
    band = Image.new("RGB", (width, step * (row + 1)), PAPER)
    draw = ImageDraw.Draw(band)
    for left, top, label, colour in places:
        edge = top + (step - square) // 2
        draw.rectangle((left, edge, left + square - 1, edge + square - 1), fill=colour)
        draw.text(
            (left + square + 6, top + step // 2), label, fill=INK, font=font(_TEXT), anchor="lm"
        )
    return np.asarray(band, dtype=np.uint8)


def side_by_side(panels: Sequence[Picture]) -> Picture:
    """Pictures in one row, tops level, on white.

    Args:
        panels: Each (H, W, 3) RGB.
    """
    return contact_sheet(panels, len(panels), margin=0)


def stacked(panels: Sequence[Picture]) -> Picture:
    """Pictures in one column, left edges level, on white.

    Args:
        panels: Each (H, W, 3) RGB.
    """
    return contact_sheet(panels, 1, margin=0)


def contact_sheet(panels: Sequence[Picture], columns: int, *, margin: int = _GAP) -> Picture:
    """Pictures of any size in a grid, on white.

    Args:
        panels: Each (H, W, 3) RGB, in reading order.
        columns: How many there are in a row.
        margin: Pixels around the grid.

    Returns:
        (H, W, 3) RGB; a column is as wide as its widest picture, a row as high as its highest.

    Raises:
        ValueError: There is no picture, or no column.
    """
    if not panels or columns < 1:
        raise ValueError("a contact sheet needs at least one picture and one column")
    columns = min(columns, len(panels))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(panel.shape[0] for panel in row) for row in rows]
    widths = [max(panel.shape[1] for panel in panels[column::columns]) for column in range(columns)]
    sheet = np.full(
        (
            sum(heights) + _GAP * (len(rows) - 1) + 2 * margin,
            sum(widths) + _GAP * (columns - 1) + 2 * margin,
            3,
        ),
        PAPER,
        dtype=np.uint8,
    )
    top = margin
    for row, height in zip(rows, heights, strict=True):
        left = margin
        for panel, width in zip(row, widths, strict=False):
            sheet[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
            left += width + _GAP
        top += height + _GAP
    return sheet


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture as PNG, whole or not at all.

    Args:
        picture: (H, W, 3) RGB.
        path: The file; its folder is made where it is missing.
    """
    from PIL import Image

    with new_file(path) as unfinished:
        Image.fromarray(picture).save(unfinished, format="PNG")


def font_path() -> Path:
    """A font that is there on every machine: Matplotlib brings it."""
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@lru_cache(maxsize=8)
def font(size: int) -> FreeTypeFont:
    """The font of all text, `size` pixels high."""
    from PIL import ImageFont

    return ImageFont.truetype(str(font_path()), size)
