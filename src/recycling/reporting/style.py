"""How all figures look: their colours, and axes with little around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

INK = "#212529"  # text
QUIET = "#868e96"  # text and lines that matter less
PALE = "#adb5bd"  # what is compared with
ACCENT = "#1864ab"  # what the figure is about
LOSS = "#d9774a"  # what got worse, or is out of line
GREEN = "#69a96b"

_GRID = "#e9ecef"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure.

    Args:
        width: Inches.
        height: Inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=130, layout="constrained", facecolor="white")


def despine(axis: Axes, grid: Literal["x", "both"] | None = None) -> None:
    """Take the frame and the ticks off an axis.

    Args:
        axis: The axis.
        grid: Along which sides thin lines stay: the values of `x`, of both, or none.
    """
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=9, colors=INK)
    if grid:
        axis.grid(axis=grid, color=_GRID, linewidth=0.8)
        axis.set_axisbelow(True)


def heat_map(
    axis: Axes,
    values: NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    **how: Any,
) -> AxesImage:
    """Draw shares as a heat map with a text in each cell.

    Args:
        axis: Where it is drawn.
        values: (R, C), from 0 to 1; what is NaN stays white.
        texts: (R, C); empty where nothing is written.
        rows: What each row is.
        columns: What each column is.
        how: What `imshow` takes besides.
    """
    shades = axis.imshow(values, vmin=0, vmax=1, cmap="Blues", **how)
    for (row, column), value in np.ndenumerate(values):
        if text := texts[row][column]:
            ink = "white" if value > 0.6 else INK
            axis.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    axis.set_xticks(range(len(columns)), columns, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(rows)), rows)
    despine(axis)
    return shades
