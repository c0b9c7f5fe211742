"""Figures of a run: balance of the folds, scores, cleaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recycling.reporting.scores import TITLES, Summary, TaskScores, ranked
from recycling.reporting.style import ACCENT, GREEN, INK, LOSS, PALE, QUIET, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = {"member": "#a5c8e4", "teacher": "#5c9bd1", "ensemble": ACCENT}
_ACTION = {"add": GREEN, "change": "#5c9bd1", "drop": LOSS}


def balance_figure(balance: pd.DataFrame, deviations: pd.DataFrame) -> Figure:
    """Each category's share of the annotations, in the training and the validation part of folds.

    Args:
        balance: Columns `fold, category, train, validation`; shares in per cent.
        deviations: Columns `axis, deviation`: the largest of any fold from the whole set, in
            percentage points, for everything that the folds balance.

    Returns:
        One panel for each fold, categories from frequent to rare; under the title the deviations.
    """
    from matplotlib.ticker import MaxNLocator

    folds = sorted(balance["fold"].unique())
    order = balance.groupby("category", observed=True)["train"].mean()
    names = list(order.sort_values(kind="stable").index)
    figure = new_figure(2.2 + 2.6 * len(folds), 1.3 + 0.34 * len(names))
    axes = figure.subplots(1, len(folds), sharex=True, sharey=True, squeeze=False)[0]
    positions = np.arange(len(names))
    for fold, axis in zip(folds, axes, strict=True):
        shares = balance[balance["fold"] == fold].set_index("category").reindex(names)
        axis.barh(positions + 0.2, shares["train"], 0.38, color=PALE, label="train")
        axis.barh(positions - 0.2, shares["validation"], 0.38, color=ACCENT, label="validation")
        worst = (shares["validation"] - shares["train"]).abs().max()
        axis.set_title(f"fold {fold}\nat most {worst:.2f} points apart", fontsize=10)
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.xaxis.set_major_formatter("{x:.0f}%")
        axis.set_yticks(positions, names)
        despine(axis, grid="x")
    figure.supxlabel("share of the annotations", fontsize=10)
    entries = [
        f"{axis.replace('_', ' ')} {deviation:.2f}"
        for axis, deviation in deviations[["axis", "deviation"]].itertuples(index=False)
    ]
    lines = [", ".join(entries[start : start + 4]) for start in range(0, len(entries), 4)]
    figure.suptitle(
        "\n".join(["Folds, and how far one is from the whole at most, in points:", *lines]),
        fontsize=11,
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2, frameon=False, fontsize=9)
    return figure


def scores_figure(summary: Summary) -> Figure:
    """Every member's and ensemble's score on the test part, a panel for each task.

    Args:
        summary: The scores by task, as in `summary.json`.

    Returns:
        Horizontal bars, the best on top; the ensemble is dark.
    """
    tasks = [(task, summary[task]) for task in TITLES if task in summary]
    rows = [len(ranked(scores)) for _, scores in tasks]
    figure = new_figure(8, 0.7 + sum(0.75 + 0.34 * count for count in rows))
    axes = figure.subplots(len(tasks), 1, squeeze=False, height_ratios=[1.5 + n for n in rows])
    for (task, scores), axis in zip(tasks, axes[:, 0], strict=True):
        _scores_of_task(axis, TITLES[task], scores)
    figure.suptitle("Scores on the test part", fontsize=12)
    return figure


def cleaning_figure(audit: pd.DataFrame, would: pd.DataFrame) -> Figure:
    """How many rows each rule of cleaning touched, and how many those that are off would.

    Args:
        audit: One row for each change; columns `rule` and `action` (add, change or drop).
        would: The same of each rule that is off.

    Returns:
        Horizontal bars split by action, the busiest rule on top; below them, pale, the rules that
        are off.
    """
    from matplotlib.patches import Patch

    done, undone = _counts(audit), _counts(would)
    counts = pd.concat([undone.rename(index="{} (off)".format), done]).fillna(0)
    figure = new_figure(8, 1.6 + 0.4 * max(len(counts), 1))
    axis = figure.subplots()
    axis.set_title("What cleaning changed", fontsize=12)
    if counts.empty:
        axis.text(0.5, 0.5, "nothing", ha="center", transform=axis.transAxes, color=QUIET)
        axis.set_axis_off()
        return figure
    _stacked_counts(axis, counts, pale=len(undone))
    figure.legend(
        handles=[Patch(color=_ACTION[action], label=action) for action in counts.columns],
        loc="outside right upper",
        frameon=False,
        fontsize=9,
        title="action",
        alignment="left",
    )
    return figure


def _counts(audit: pd.DataFrame) -> pd.DataFrame:
    """Rows by rule and action, the busiest rule last."""
    counts = pd.crosstab(audit["rule"], audit["action"])
    return counts.loc[counts.sum(axis="columns").sort_values(kind="stable").index]


def _stacked_counts(axis: Axes, counts: pd.DataFrame, *, pale: int) -> None:
    """Bars split by action; the first `pale` of them are faint."""
    from matplotlib.ticker import MaxNLocator

    left = np.zeros(len(counts))
    for action in counts.columns:
        widths = counts[action].to_numpy()
        bars = axis.barh(list(counts.index), widths, 0.6, left=left, color=_ACTION[action])
        for bar in bars[:pale]:
            bar.set_alpha(0.35)
        left += widths
    for row, total in enumerate(left):
        ink = QUIET if row < pale else INK
        axis.text(total, row, f" {total:,.0f}", va="center", color=ink, fontsize=9)
    axis.set_xlabel("changes", fontsize=10)
    axis.set_xlim(0, 1.1 * left.max())
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    despine(axis, grid="x")
    for label in axis.get_yticklabels()[:pale]:
        label.set_color(QUIET)


def _scores_of_task(axis: Axes, title: str, scores: TaskScores) -> None:
    rows = ranked(scores)[::-1]
    names = [row.name for row in rows]
    values = [row.score or 0 for row in rows]
    axis.barh(names, values, 0.62, color=[_BAR[row.kind] for row in rows])
    for position, row in enumerate(rows):
        weight = "bold" if row.kind == "ensemble" else "normal"
        text = " no truth" if row.score is None else f" {row.score:.3f}"
        end = row.score or 0
        if row.interval is not None:
            axis.plot(row.interval, [position, position], color=INK, linewidth=1)
            end = row.interval[1]
        axis.text(end, position, text, va="center", fontsize=9, weight=weight)
    for label, row in zip(axis.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.kind == "ensemble" else "normal")
    axis.set_xlim(0, 1.08)
    axis.set_xticks(np.linspace(0, 1, 6))
    axis.set_title(f"{title}: {scores['metric']}", fontsize=10, loc="left")
    despine(axis, grid="x")
