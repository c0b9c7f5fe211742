"""How all figures look: their colours, and axes with little around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
