"""How good each member is, and what it adds to the ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from statistics import fmean
from typing import TYPE_CHECKING

import pandas as pd
from markupsafe import Markup

from recycling.diagnostics import Contributions
from recycling.ensembling import model_of
from recycling.evaluation import Metrics
from recycling.reporting.pages import render_figure, render_table
from recycling.reporting.panels.core import panel
from recycling.reporting.style import ACCENT, INK, LOSS, PALE, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@panel("Members", order=20)
def members(
    metrics: Metrics,
    contributions: Contributions | None = None,
    members: Mapping[str, Metrics] | None = None,
    out_of_fold: bool = False,
    test_members: Mapping[str, Metrics] | None = None,
) -> list[Markup]:
    """Each member's own score and what it adds; the scores alone where nobody was left out.

    Out of fold a member is a model; on the test images each of its folds has a score.
    """
    metric = metrics.metric
    on_test = _on_test(test_members or {}) if out_of_fold else {}
    if contributions is not None and len(contributions):
        table = pd.DataFrame(
            {
                "member": contributions["member"],
                metric: contributions["score"],
                "ensemble without it": contributions["without"],
                "what it adds": contributions["contribution"],
                "interval": [
                    "unknown" if pd.isna(low) else f"{low:+.4f} to {high:+.4f}"
                    for low, high in zip(contributions["low"], contributions["high"], strict=True)
                ],
            }
        )
        formats = {metric: ".4f", "ensemble without it": ".4f", "what it adds": "+.4f"}
        if on_test:
            table["on the test images"] = table["member"].map(on_test)
            formats["on the test images"] = ".4f"
        figure = contributions_figure(contributions, metric)
        return [
            render_table(table, {**formats, "interval": ""}),
            render_figure(figure, "what each member adds"),
        ]
    if members and not isnan(metrics.score):
        scores = {"member": list(members), metric: [each.score for each in members.values()]}
        formats = {metric: ".4f"}
        if on_test:
            scores["on the test images"] = [on_test.get(name) for name in members]
            formats["on the test images"] = ".4f"
        return [render_table(pd.DataFrame(scores), formats)]
    return []


def _on_test(members: Mapping[str, Metrics]) -> dict[str, float]:
    """The score of each model on the test images, the mean of its folds; empty without truth."""
    scores: dict[str, list[float]] = {}
    for name, metrics in members.items():
        if not isnan(metrics.score):
            scores.setdefault(model_of(name), []).append(metrics.score)
    return {model: fmean(own) for model, own in scores.items()}


def contributions_figure(contributions: Contributions, metric: str) -> Figure:
    """What each member adds to the ensemble, with its interval.

    Args:
        contributions: Schema `recycling.diagnostics.CONTRIBUTIONS`; one row at least.
        metric: What the scores are.

    Returns:
        A point and a line for each member, the one that adds most on top; pale where the interval
        holds 0, or there is none.
    """
    rows = contributions.sort_values("contribution", kind="stable")
    figure = new_figure(8, 1.4 + 0.36 * len(rows))
    axis = figure.subplots()
    columns = rows[["contribution", "low", "high"]].astype(float).to_numpy().tolist()
    for position, (contribution, low, high) in enumerate(columns):
        colour = ACCENT if low > 0 else LOSS if high < 0 else PALE
        axis.plot([low, high], [position, position], color=colour, linewidth=2.5)
        axis.plot([contribution], [position], "o", color=colour, markersize=7)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.set_yticks(range(len(rows)), rows["member"].tolist())
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.set_xlabel(f"{metric} of the ensemble less that without the member", fontsize=9)
    axis.set_title("What each member adds (grey: it may be nothing)", fontsize=12)
    despine(axis, grid="x")
    return figure
