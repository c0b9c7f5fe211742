"""What a score threshold does to mAP, precision, recall and the number of boxes."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from markupsafe import Markup

from recycling.diagnostics import (
    PrecisionThresholds,
    ScoreThresholds,
    best_threshold,
    threshold_sentence,
)
from recycling.reporting.pages import render_figure, render_table, render_text
from recycling.reporting.panels.core import panel
from recycling.reporting.style import ACCENT, GREEN, INK, LOSS, QUIET, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOUR = {"mAP50": ACCENT, "precision": LOSS, "recall": GREEN, "F1": INK}
_NO_PROMISE = """
<p>Each threshold is chosen on the boxes that it is judged by, so of few boxes it is luck, and
no promise. A promise is made by kedro predict --promised-precision.</p>
"""
_HEADINGS = {"f1": "F1", "boxes_per_image": "boxes an image"}


@panel("What a score threshold does", order=50)
def thresholds(
    score_thresholds: ScoreThresholds, precision_thresholds: PrecisionThresholds | None = None
) -> list[Markup]:
    """Curves, every tenth row of their table, and the thresholds of each class by precision."""
    if score_thresholds.empty:
        return []
    formats = {"threshold": ".2f", **dict.fromkeys(_COLOUR, ".3f"), "boxes an image": ".1f"}
    table = score_thresholds.iloc[::10].rename(columns=_HEADINGS)[list(formats)]
    figure = thresholds_figure(score_thresholds)
    pieces = [render_figure(figure, "score thresholds"), render_table(table, formats)]
    if precision_thresholds is not None and len(precision_thresholds):
        formats = {
            "precision asked for": ".2f", "threshold": ".3f", "precision": ".3f", "recall": ".3f",
            "boxes it rests on": ",d",
        }  # fmt: skip
        names = {"target": "precision asked for", "boxes": "boxes it rests on"}
        wanted = precision_thresholds.rename(columns=names)
        pieces += [render_table(wanted, formats), render_text(_NO_PROMISE)]
    return pieces


def thresholds_figure(thresholds: ScoreThresholds) -> Figure:
    """What a score threshold does to mAP, precision, recall and the number of boxes.

    Args:
        thresholds: One row at least; schema `recycling.diagnostics.SCORE_THRESHOLDS`.

    Returns:
        The accuracy above, with a mark at the best F1, and the boxes an image below.
    """
    title = threshold_sentence(thresholds)
    figure = new_figure(8, 5.4)
    figure.suptitle(fill(title[:1].upper() + title[1:], 95), fontsize=10, color=INK)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 1])
    table = thresholds.rename(columns=_HEADINGS).set_index("threshold")
    for name, colour in _COLOUR.items():
        width = 2.4 if name == "mAP50" else 1.6
        above.plot(table.index, table[name], color=colour, linewidth=width, label=name)
    best = best_threshold(thresholds)
    f1 = float(table["F1"][best])
    above.plot([best], [f1], "o", color=INK, markersize=7)
    is_left = best <= (table.index.min() + table.index.max()) / 2
    above.annotate(
        f"best F1 {f1:.2f} at {best:g}",
        (best, f1),
        (8 if is_left else -8, 10),
        textcoords="offset points",
        ha="left" if is_left else "right",
        fontsize=9,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
    above.set_ylim(0, 1.03)
    above.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)
    below.plot(table.index, table["boxes an image"], color=QUIET, linewidth=1.6)
    if table["boxes an image"].min() > 0:
        below.set_yscale("log")
        below.yaxis.set_major_formatter("{x:g}")
    below.set_ylabel("boxes an image", fontsize=9)
    below.set_xlabel("score threshold: boxes below it are left out", fontsize=9)
    for axis in (above, below):
        axis.axvline(best, color=QUIET, linewidth=0.8, linestyle="--")
        despine(axis, grid="both")
    return figure
