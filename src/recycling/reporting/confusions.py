"""Confusion matrices side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recycling.diagnostics import Disagreement
from recycling.reporting.style import INK, QUIET, heat_map, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusions_figure(counts: Mapping[str, Disagreement]) -> Figure:
    """What each side takes every class for, as shares of what is true.

    Args:
        counts: By side, the truth (`first`) against what it says (`second`).
    """
    seen = [name for own in counts.values() for name in (*own["first"], *own["second"])]
    names = sorted(dict.fromkeys(seen), key=lambda name: (name in OUTSIDE, name))
    side = 1.6 + 0.42 * len(names)
    figure = new_figure(len(counts) * side + 0.8, side + 0.4)
    axes = figure.subplots(1, len(counts), squeeze=False, sharey=True)[0]
    for axis, (label, own) in zip(axes, counts.items(), strict=True):
        table = own.pivot_table(index="first", columns="second", values="share", aggfunc="sum")
        shares = table.reindex(index=names, columns=names).fillna(0).to_numpy(dtype=float)
        texts = [[f"{one * 100:.0f}" if one >= SHOWN else "" for one in row] for row in shares]
        heat_map(axis, shares, texts, rows=names, columns=names)
        axis.set_title(label, fontsize=10, color=INK)
        axis.set_xlabel("said, percent of what is true", fontsize=8, color=QUIET)
    axes[0].set_ylabel("true", fontsize=8, color=QUIET)
    return figure


OUTSIDE = ("background", "ignored", "nothing")
"""What is no category, and comes last."""

SHOWN = 0.005
"""The least share that is written into its cell."""
