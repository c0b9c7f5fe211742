"""How alike the members are: how often they agree, and how far they err on the same."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from recycling.diagnostics import Agreement, ErrorCorrelation
from recycling.evaluation import Metrics
from recycling.reporting.pages import render_figure
from recycling.reporting.panels.core import panel
from recycling.reporting.style import heat_map, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@panel("How alike the members are", order=30)
def likeness(
    metrics: Metrics, agreement: Agreement, error_correlation: ErrorCorrelation | None = None
) -> list[Markup]:
    """Two heat maps, or one where no truth is known."""
    if agreement.empty:
        return []
    figure = likeness_figure(agreement, None if isnan(metrics.score) else error_correlation)
    return [render_figure(figure, "likeness of the members")]


def likeness_figure(
    agreement: pd.DataFrame, error_correlation: pd.DataFrame | None = None
) -> Figure:
    """How often members agree, two by two, beside how far they err on the same.

    Args:
        agreement: Columns `member_a, member_b, agreement`.
        error_correlation: Columns `member_a, member_b, correlation`; None where no truth is known.

    Returns:
        One or two heat maps; a member with itself is left empty, and a pair without a value, as of
        a member that is wrong everywhere, has a dash.
    """
    names = list(dict.fromkeys([*agreement["member_a"], *agreement["member_b"]]))
    maps = {"Agreement": _both_ways(agreement, "agreement", names)}
    if error_correlation is not None:
        maps["Correlation of errors"] = _both_ways(error_correlation, "correlation", names)
    side = max(2.6, 1.0 + 0.62 * len(names))
    label = 0.075 * max((len(name) for name in names), default=1)
    figure = new_figure(len(maps) * side + 1.2 + label, side + 0.7 + 0.6 * label)
    axes = figure.subplots(1, len(maps), squeeze=False, sharey=True)[0]
    for axis, (title, values) in zip(axes, maps.items(), strict=True):
        texts = [[f"{value:.2f}" if np.isfinite(value) else "-" for value in row] for row in values]
        for number in range(len(names)):
            texts[number][number] = ""
        shades = heat_map(axis, values, texts, rows=names, columns=names)
        axis.set_title(title, fontsize=11)
        if np.isnan(values[~np.eye(len(names), dtype=bool)]).any():
            axis.set_xlabel("-: one of the two is right, or wrong, everywhere", fontsize=8)
    colour_bar = figure.colorbar(shades, ax=list(axes), fraction=0.03, shrink=0.8)
    colour_bar.outline.set_visible(False)
    colour_bar.ax.tick_params(labelsize=8, length=0)
    return figure


def _both_ways(table: pd.DataFrame, column: str, names: list[str]) -> NDArray[np.float64]:
    """(members, members): the value of each pair, both ways; NaN where there is no row."""
    swapped = table.rename(columns={"member_a": "member_b", "member_b": "member_a"})
    pairs = pd.concat([table, swapped]).set_index(["member_a", "member_b"])[column].unstack()
    return pairs.reindex(index=names, columns=names).to_numpy(dtype=float)
