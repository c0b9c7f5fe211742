"""What the ensemble gains and loses, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from recycling.diagnostics import ClassGains, best_member
from recycling.evaluation import Metrics
from recycling.reporting.pages import render_figure, render_table
from recycling.reporting.panels.core import panel
from recycling.reporting.style import ACCENT, INK, LOSS, PALE, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_A_CLASS = {"mAP50": "AP50", "mIoU": "IoU", "macro F1": "F1"}
"""What a metric is called where it is that of one class."""


@panel("Class by class", order=40)
def class_gains(
    metrics: Metrics,
    class_gains: ClassGains,
    members: Mapping[str, Metrics] | None = None,
    out_of_fold: bool = False,
    test_metrics: Metrics | None = None,
) -> list[Markup]:
    """Bars, and the scores that they are the differences of."""
    if class_gains.empty:
        return []
    figure = class_gains_figure(
        class_gains, best_member(members) if members else "", metrics.metric
    )
    headings = {
        "category": "class",
        "ensemble": "ensemble",
        "best": "best member",
        "mean": "mean of members",
        "over_best": "over best",
        "over_mean": "over mean",
    }
    scores = dict.fromkeys(("ensemble", "best member", "mean of members"), ".4f")
    table = class_gains[list(headings)].rename(columns=headings)
    if out_of_fold and test_metrics is not None and test_metrics.per_class:
        table["ensemble on the test images"] = table["class"].map(test_metrics.per_class)
        scores["ensemble on the test images"] = ".4f"
    return [
        render_figure(figure, "gains and losses by class"),
        render_table(table, {**scores, "over best": "+.4f", "over mean": "+.4f"}),
    ]


def class_gains_figure(gains: ClassGains, best: str, metric: str) -> Figure:
    """What the ensemble gains and loses, class by class.

    Args:
        gains: Schema `recycling.diagnostics.CLASS_GAINS`; one row at least.
        best: The name of the best member; empty where it does not matter.
        metric: What the scores are.

    Returns:
        Two bars a class, over the best member and over the mean of all; the largest gain over the
        best member on top. A loss is orange.
    """
    rows = gains.sort_values("over_best", kind="stable")
    figure = new_figure(8, 1.7 + 0.4 * len(rows))
    axis = figure.subplots()
    positions = np.arange(len(rows))
    over_best, over_mean = rows["over_best"].to_numpy(), rows["over_mean"].to_numpy()
    bars = axis.barh(
        positions + 0.18,
        over_best,
        0.36,
        color=[LOSS if gain < 0 else ACCENT for gain in over_best],
    )
    axis.barh(positions - 0.18, over_mean, 0.36, color=PALE)
    labels = [f"{gain:+.3f}" if round(gain, 3) else "0" for gain in over_best]
    axis.bar_label(bars, labels, padding=4, fontsize=8, color=INK)
    axis.axvline(0, color=INK, linewidth=0.8)
    # Room for the numbers at the ends of the bars.
    reach = max(float(np.abs([over_best, over_mean]).max()), 0.01) * 1.25
    low = min(over_best.min(), over_mean.min(), 0.0)
    high = max(over_best.max(), over_mean.max(), 0.0)
    axis.set_xlim(low - 0.16 * reach if low < 0 else 0, high + 0.16 * reach if high > 0 else 0.01)
    axis.set_yticks(positions, rows["category"])
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.set_xlabel(f"gain or loss of {_OF_A_CLASS.get(metric, metric)}", fontsize=9)
    axis.set_title("The ensemble, class by class", fontsize=12)
    despine(axis, grid="x")
    _legend(figure, best, losses=bool((over_best < 0).any()))
    return figure


def _legend(figure: Figure, best: str, *, losses: bool) -> None:
    from matplotlib.patches import Patch

    entries = [
        Patch(color=ACCENT, label=f"over the best member{f' ({best})' if best else ''}"),
        *([Patch(color=LOSS, label="below it")] if losses else []),
        Patch(color=PALE, label="over (or below) the mean of the members"),
    ]
    figure.legend(handles=entries, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
