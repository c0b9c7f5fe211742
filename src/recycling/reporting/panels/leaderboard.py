"""Validation beside the leaderboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from recycling.diagnostics import LeaderboardComparison
from recycling.reporting.pages import render_figure, render_list
from recycling.reporting.panels.core import panel
from recycling.reporting.style import ACCENT, INK, LOSS, PALE, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BOARD_HEIGHT = 260  # points, about, of the axis of a leaderboard
_NAME_HEIGHT = 0.05  # of that axis


@panel("Validation and leaderboard", order=80)
def leaderboard(leaderboard: LeaderboardComparison) -> list[Markup]:
    """What the comparison says, and a figure of it."""
    pieces = [render_list(leaderboard.sentences)]
    if len(leaderboard.points):
        figure = leaderboard_figure(leaderboard)
        pieces.append(render_figure(figure, "validation and leaderboard"))
    return pieces


def leaderboard_figure(comparison: LeaderboardComparison) -> Figure:
    """Validation beside the leaderboard.

    Args:
        comparison: One point at least.

    Returns:
        A panel for each board: every model, the line that validation lets expect where there is
        one, and the models that are out of line in orange.
    """
    boards = comparison.points["board"].unique().tolist()
    figure = new_figure(1.2 + 4.2 * len(boards), 4.4)
    axes = figure.subplots(1, len(boards), squeeze=False)[0]
    for board, axis in zip(boards, axes, strict=True):
        points = comparison.points[comparison.points["board"] == board]
        line = comparison.residuals[comparison.residuals["board"] == board]
        _board(axis, points, line)
        axis.set_title(f"{board} leaderboard", fontsize=11)
    return figure


def _board(axis: Axes, points: pd.DataFrame, line: pd.DataFrame) -> None:
    points = points.sort_values("score", kind="stable")
    if len(line):
        expected = line.merge(points, on="model").sort_values("validation")
        axis.plot(expected["validation"], expected["expected"], color=PALE, linewidth=1.2)
    is_odd = points["model"].isin(line.loc[line["out_of_line"], "model"])
    axis.scatter(
        points["validation"],
        points["score"],
        s=36,
        color=np.where(is_odd, LOSS, ACCENT).tolist(),
        zorder=3,
    )
    axis.margins(0.15)
    low, high = axis.get_ylim()
    # Names go to the right of their points, or to the left of those on the right, and up where
    # they would cover the one below.
    is_right = points["validation"] > (points["validation"].min() + points["validation"].max()) / 2
    free = {True: low, False: low}
    rows = zip(
        points["model"], points["validation"], points["score"], is_odd, is_right, strict=True
    )
    for model, validation, score, odd, right in rows:
        height = max(score, free[right])
        free[right] = height + _NAME_HEIGHT * (high - low)
        axis.annotate(
            model,
            (validation, score),
            (-7 if right else 7, (height - score) / (high - low) * _BOARD_HEIGHT),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center",
            fontsize=8,
            color=LOSS if odd else INK,
        )
    axis.set_xlabel("validation", fontsize=9)
    axis.set_ylabel("leaderboard", fontsize=9)
    despine(axis, grid="both")
