"""The effects of a study side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recycling.experiments import Comparisons, StudyArms
from recycling.reporting.style import GREEN, INK, LOSS, PALE, QUIET, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"better": GREEN, "worse": LOSS}


def study_figure(name: str, metric: str, effects: Comparisons, arms: StudyArms) -> Figure:
    """The effect of each change with its interval: overall, then by class and size.

    Args:
        name: Of the study.
        metric: What all are scored by.
        effects: Of each change; none in a study of seeds alone.
        arms: The base first; its score is in the title.
    """
    sides = list(dict.fromkeys(effects["side"]))
    parts = list(dict.fromkeys(effects["of"]))
    height = 1.5 + 0.28 * max(len(parts), 3) if sides else 0.7
    figure = new_figure(2.2 + 2.6 * max(len(sides), 1), height)
    base = arms.iloc[0]
    title = f"{name}: base {base['score']:.3f} {metric}"
    if not sides:
        spread = "" if pd.isna(base["deviation"]) else f", +- {base['deviation']:.3f} between seeds"
        figure.suptitle(f"{title}{spread}\nnothing is compared with it", fontsize=10, color=INK)
        return figure
    figure.suptitle(
        f"{title}\nintervals: 95 %, over images and {base['seeds']} seeds\n"
        "coloured: more than chance, corrected",
        fontsize=10,
        color=INK,
    )
    axes = figure.subplots(1, len(sides), squeeze=False, sharey=True, sharex=True)[0]
    for axis, side in zip(axes, sides, strict=True):
        own = effects[effects["side"] == side].set_index("of").reindex(parts)
        _draw(axis, side, own)
    axes[0].set_yticks(range(len(parts)), parts)
    axes[0].invert_yaxis()
    return figure


def _draw(axis: Axes, side: str, own: pd.DataFrame) -> None:
    """One change: a point and an interval for each group of objects."""
    for place, row in enumerate(own.to_dict("records")):
        if pd.isna(row["difference"]):
            continue
        colour = COLOURS.get(str(row["verdict"]), QUIET)
        axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2)
        axis.plot(row["difference"], place, "o", color=colour, markersize=5)
    axis.axvline(0, color=PALE, linewidth=1)
    axis.set_title(side, fontsize=10, color=INK)
    axis.set_xlabel("difference to the base", fontsize=8, color=QUIET)
    despine(axis, grid="x")
