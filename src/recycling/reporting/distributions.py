"""How often each class is, how many objects an image has, and how large they are, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.reporting.style import ACCENT, INK, PALE, QUIET, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def distributions_figure(objects: pd.DataFrame, images: pd.DataFrame) -> Figure:
    """How often each class is, how many objects an image has, and how large they are.

    Args:
        objects: One row an object; columns `category, image_id, area`.
        images: All images; schema `recycling.annotations.IMAGES`.

    Returns:
        Bars on the left, two histograms on the right.
    """
    counts = objects["category"].value_counts(sort=True)[::-1]
    figure = new_figure(11, max(3.6, 1.2 + 0.3 * len(counts)))
    axes = figure.subplot_mosaic([["classes", "images"], ["classes", "areas"]])
    axes["classes"].barh(counts.index.astype(str), counts, 0.62, color=ACCENT)
    axes["classes"].set_title("Objects by class", fontsize=10, loc="left")
    for row, count in enumerate(counts):
        axes["classes"].text(count, row, f" {count:,}", va="center", fontsize=9, color=INK)
    despine(axes["classes"])
    axes["classes"].set_xticks([])
    by_image = objects["image_id"].value_counts().reindex(images["image_id"], fill_value=0)
    _histogram(axes["images"], np.asarray(by_image, dtype=np.float64), "Objects on an image")
    _areas(axes["areas"], objects["area"].to_numpy(dtype=float))
    return figure


def _histogram(axis: Axes, values: NDArray[np.float64], title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    most = int(values.max(initial=1))
    bins = np.linspace(-0.5, most + 0.5, min(most + 2, 31))
    axis.hist(values, bins=bins.tolist(), color=PALE, edgecolor="white")
    axis.set_title(title, fontsize=10, loc="left")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel("images", fontsize=9)
    despine(axis, grid="both")


def _areas(axis: Axes, areas: NDArray[np.float64]) -> None:
    """A histogram of the sides of squares of the same area, with the limits of sizes."""
    sides = np.sqrt(areas[areas > 0])
    if len(sides):
        low, high = max(1.0, float(sides.min())), float(sides.max()) * 1.01
        axis.hist(sides, bins=np.geomspace(low, max(high, low * 1.1), 30).tolist(), color=PALE,
                  edgecolor="white")  # fmt: skip
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    for limit in (32, 96):
        axis.axvline(limit, color=QUIET, linestyle="--", linewidth=1)
    axis.set_title("Size of an object: square root of its area, pixels", fontsize=10, loc="left")
    axis.set_xlabel("dashed: small up to 32, medium up to 96, large above", fontsize=9)
    axis.set_ylabel("objects", fontsize=9)
    despine(axis, grid="both")
