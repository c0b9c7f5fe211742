"""Confusion matrices side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from recycling.diagnostics import Disagreement
from recycling.reporting.style import INK, QUIET, despine, new_figure

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
        axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        for (row, column), share in np.ndenumerate(shares):
            if share >= SHOWN:
                ink = "white" if share > 0.6 else INK
                axis.text(
                    column, row, f"{share * 100:.0f}", ha="center", va="center", color=ink,
                    fontsize=7,
                )  # fmt: skip
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), names)
        axis.set_title(label, fontsize=10, color=INK)
        axis.set_xlabel("said, percent of what is true", fontsize=8, color=QUIET)
        despine(axis)
    axes[0].set_ylabel("true", fontsize=8, color=QUIET)
    return figure


OUTSIDE = ("background", "ignored", "nothing")
"""What is no category, and comes last."""

SHOWN = 0.005
"""The least share that is written into its cell."""
