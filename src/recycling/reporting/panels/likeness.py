"""Figures of an ensemble: what its members add, how alike they are, what it gains."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.diagnostics.thresholds import (
    ScoreThresholds,
    best_threshold,
    threshold_sentence,
)
from recycling.reporting.figures import _ACCENT, _GRID, _INK, _QUIET, _TRAIN, _figure, _quieten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recycling.diagnostics.contributions import Contributions
    from recycling.diagnostics.gains import ClassGains
    from recycling.diagnostics.leaderboard import LeaderboardComparison

_LOSS = "#d9774a"
_COLOUR = {"mAP50": _ACCENT, "precision": "#d9774a", "recall": "#69a96b", "f1": _INK}
_CALLED = {"f1": "F1"}
_BOARD_HEIGHT = 260  # points, about, of the axis of a leaderboard
_NAME_HEIGHT = 0.05  # of that axis


def contributions_figure(contributions: Contributions, metric: str) -> Figure:
    """What each member adds to the ensemble, with its interval.

    Args:
        contributions: Schema `recycling.ensembling.CONTRIBUTIONS`; one row at least.
        metric: What the scores are.

    Returns:
        A point and a line for each member, the one that adds most on top; pale where the interval
        holds 0.
    """
    rows = contributions.sort_values("contribution", kind="stable")
    figure = _figure(8, 1.4 + 0.36 * len(rows))
    axis = figure.subplots()
    places = np.arange(len(rows))
    columns = rows[["contribution", "low", "high"]].to_numpy(dtype=float).tolist()
    for place, (contribution, low, high) in enumerate(columns):
        colour = _TRAIN if low <= 0 <= high else _ACCENT if contribution > 0 else _LOSS
        axis.plot([low, high], [place, place], color=colour, linewidth=2.5)
        axis.plot([contribution], [place], "o", color=colour, markersize=7)
    axis.axvline(0, color=_INK, linewidth=0.8)
    axis.set_yticks(places, rows["member"].tolist())
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.set_xlabel(f"{metric} of the ensemble less that without the member", fontsize=9)
    axis.set_title("What each member adds (grey: it may be nothing)", fontsize=12)
    _quieten(axis, grid="x")
    return figure


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
    maps = [("Agreement", _cells(agreement, "agreement", names))]
    if error_correlation is not None:
        cells = _cells(error_correlation, "correlation", names)
        maps.append(("Correlation of errors", cells))
    side = max(2.6, 1.0 + 0.62 * len(names))
    label = 0.075 * max((len(name) for name in names), default=1)
    figure = _figure(len(maps) * side + 1.2 + label, side + 0.7 + 0.6 * label)
    axes = figure.subplots(1, len(maps), squeeze=False, sharey=True)[0]
    for axis, (title, cells) in zip(axes, maps, strict=True):
        shades = axis.imshow(cells, vmin=0, vmax=1, cmap="Blues")
        for (row, column), value in np.ndenumerate(cells):
            if row != column:
                text = f"{value:.2f}" if np.isfinite(value) else "-"
                ink = "white" if value > 0.6 else _INK
                axis.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), names)
        axis.set_title(title, fontsize=11)
        if np.isnan(cells[~np.eye(len(names), dtype=bool)]).any():
            axis.set_xlabel("-: one of the two is right, or wrong, everywhere", fontsize=8)
        _quieten(axis)
    colour_bar = figure.colorbar(shades, ax=list(axes), fraction=0.03, shrink=0.8)
    colour_bar.outline.set_visible(False)
    colour_bar.ax.tick_params(labelsize=8, length=0)
    return figure


def _cells(table: pd.DataFrame, column: str, names: list[str]) -> NDArray[np.float64]:
    """(members, members), both ways, NaN where there is no row."""
    place = {name: index for index, name in enumerate(names)}
    cells = np.full((len(names), len(names)), np.nan)
    for first, second, value in table[["member_a", "member_b", column]].itertuples(index=False):
        cells[place[first], place[second]] = cells[place[second], place[first]] = value
    return cells


def class_gains_figure(gains: ClassGains, best: str, metric: str) -> Figure:
    """What the ensemble gains and loses, class by class.

    Args:
        gains: Schema `recycling.evaluation.CLASS_GAINS`; one row at least.
        best: The name of the best member; empty where it does not matter.
        metric: What the scores are.

    Returns:
        Two bars a class, over the best member and over the mean of all; the largest gain over the
        best member on top. A loss is orange.
    """
    rows = gains.sort_values("over_best", kind="stable")
    figure = _figure(8, 1.7 + 0.4 * len(rows))
    axis = figure.subplots()
    places = np.arange(len(rows))
    over_best, over_mean = rows["over_best"].to_numpy(), rows["over_mean"].to_numpy()
    colours = [_LOSS if value < 0 else _ACCENT for value in over_best]
    axis.barh(places + 0.18, over_best, 0.36, color=colours)
    axis.barh(places - 0.18, over_mean, 0.36, color=_TRAIN)
    axis.axvline(0, color=_INK, linewidth=0.8)
    reach = max(float(np.abs([over_best, over_mean]).max()), 0.01) * 1.25
    low = min(over_best.min(), over_mean.min(), 0.0)
    high = max(over_best.max(), over_mean.max(), 0.0)
    axis.set_xlim(low - 0.16 * reach if low < 0 else 0, high + 0.16 * reach if high > 0 else 0.01)
    for place, value in zip(places, over_best, strict=True):
        axis.annotate(
            f"{value:+.3f}" if round(value, 3) else "0",
            (value, place + 0.18),
            (4 if value >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if value >= 0 else "right",
            va="center",
            fontsize=8,
            color=_INK,
        )
    axis.set_yticks(places, rows["category"].tolist())
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.set_xlabel(f"gain or loss of {_of_a_class(metric)}", fontsize=9)
    axis.set_title("The ensemble, class by class", fontsize=12)
    _quieten(axis, grid="x")
    _gains_legend(figure, best, losses=bool((over_best < 0).any()))
    return figure


def _gains_legend(figure: Figure, best: str, *, losses: bool) -> None:
    from matplotlib.patches import Patch

    entries = [
        Patch(color=_ACCENT, label=f"over the best member{f' ({best})' if best else ''}"),
        *([Patch(color=_LOSS, label="below it")] if losses else []),
        Patch(color=_TRAIN, label="over (or below) the mean of the members"),
    ]
    figure.legend(handles=entries, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def _of_a_class(metric: str) -> str:
    return {"mAP50": "AP50", "mIoU": "IoU", "macro F1": "F1"}.get(metric, metric)


def thresholds_figure(thresholds: ScoreThresholds) -> Figure:
    """What a score threshold does to mAP, precision, recall and the number of boxes.

    Args:
        thresholds: One row at least; schema `recycling.evaluation.SCORE_THRESHOLDS`.

    Returns:
        The accuracy above, with a mark at the best F1, and the boxes an image below.
    """
    figure = _figure(8, 5.4)
    figure.suptitle(fill(_capital(threshold_sentence(thresholds)), 95), fontsize=10, color=_INK)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 1])
    at = thresholds["threshold"]
    for column, colour in _COLOUR.items():
        width = 2.4 if column == "mAP50" else 1.6
        label = _CALLED.get(column, column)
        above.plot(at, thresholds[column], color=colour, linewidth=width, label=label)
    best = best_threshold(thresholds)
    f1 = float(thresholds.loc[at == best, "f1"].iloc[0])
    for axis in (above, below):
        axis.axvline(best, color=_QUIET, linewidth=0.8, linestyle="--")
    above.plot([best], [f1], "o", color=_INK, markersize=7)
    right = best <= (at.min() + at.max()) / 2
    above.annotate(
        f"best F1 {f1:.2f} at {best:g}",
        (best, f1),
        (8 if right else -8, 10),
        textcoords="offset points",
        ha="left" if right else "right",
        fontsize=9,
        color=_INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
    above.set_ylim(0, 1.03)
    above.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)
    below.plot(at, thresholds["boxes_per_image"], color=_QUIET, linewidth=1.6)
    if thresholds["boxes_per_image"].min() > 0:
        below.set_yscale("log")
        below.yaxis.set_major_formatter("{x:g}")
    below.set_ylabel("boxes an image", fontsize=9)
    below.set_xlabel("score threshold: boxes below it are left out", fontsize=9)
    for axis in (above, below):
        _quieten(axis, grid="x")
        axis.grid(axis="y", color=_GRID, linewidth=0.8)
    return figure


def leaderboard_figure(comparison: LeaderboardComparison) -> Figure:
    """Validation beside the leaderboard.

    Args:
        comparison: One point at least.

    Returns:
        A panel for each board: every model, the line that validation lets expect where there is
        one, and the models that are out of line in orange.
    """
    boards = comparison.points["board"].unique().tolist()
    figure = _figure(1.2 + 4.2 * len(boards), 4.4)
    axes = figure.subplots(1, len(boards), squeeze=False)[0]
    for board, axis in zip(boards, axes, strict=True):
        points = comparison.points[comparison.points["board"] == board]
        line = comparison.residuals[comparison.residuals["board"] == board]
        _board(axis, points, line)
        axis.set_title(f"{board} leaderboard", fontsize=11)
    return figure


def _board(axis: Axes, points: pd.DataFrame, line: pd.DataFrame) -> None:
    odd = set(line.loc[line["out_of_line"], "model"])
    if len(line):
        expected = line["expected"].to_numpy()
        order = np.argsort(points["validation"].to_numpy())
        axis.plot(
            points["validation"].to_numpy()[order], expected[order], color=_TRAIN, linewidth=1.2
        )
    rows = points.sort_values("score", kind="stable")
    axis.scatter(
        rows["validation"],
        rows["score"],
        s=36,
        color=[_LOSS if name in odd else _ACCENT for name in rows["model"]],
        zorder=3,
    )
    axis.margins(0.15)
    low, high = axis.get_ylim()
    # Names go to the right of their points, or to the left of those on the right, and up where
    # they would cover the one below.
    middle = (points["validation"].min() + points["validation"].max()) / 2
    free = {True: low, False: low}
    for model, validation, score in rows[["model", "validation", "score"]].itertuples(
        index=False, name=None
    ):
        left = validation > middle
        height = max(score, free[left])
        free[left] = height + _NAME_HEIGHT * (high - low)
        axis.annotate(
            model,
            (validation, score),
            (-7 if left else 7, (height - score) / (high - low) * _BOARD_HEIGHT),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8,
            color=_LOSS if model in odd else _INK,
        )
    axis.set_xlabel("validation", fontsize=9)
    axis.set_ylabel("leaderboard", fontsize=9)
    _quieten(axis, grid="x")
    axis.grid(axis="y", color=_GRID, linewidth=0.8)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
