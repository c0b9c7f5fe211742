"""A figure of how an ensemble was chosen, and what the choice is worth."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recycling.reporting.figures import _ACCENT, _INK, _QUIET, _TRAIN, _figure, _quieten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recycling.ensembling.search.core import History
    from recycling.ensembling.search.selection import Choices

_COLOUR = {"best member": _QUIET, "greedy": "#d9774a", "search": _ACCENT}
_LINE = 110  # characters of a line of the title


def search_figure(history: History, choices: Choices) -> Figure:
    """How the search went, and how its ensemble does on images that it was not chosen on.

    Args:
        history: Every trial of the searches; schema `recycling.ensembling.HISTORY`.
        choices: The ways of choosing; schema `recycling.ensembling.CHOICES`.

    Returns:
        The gain in a sentence for a title. On the left the trials of the search on all parts, the
        best so far, and the simpler ways as lines; on the right the scores on held-out parts, a
        dot each, their mean, and the training score, which flatters.
    """
    figure = _figure(11, 2.2 + 0.62 * max(len(choices), 4))
    figure.suptitle(fill(_verdict(choices), _LINE), fontsize=12, color=_INK)
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    first = history["search"].iloc[0]
    _trials(left, history[history["search"] == first], choices)
    _held_out(right, choices)
    return figure


def _verdict(choices: Choices) -> str:
    """What the most thorough way of choosing gains, and whether the simpler one does as well."""
    last = choices.iloc[-1]
    greedy = choices[choices["how"] == "greedy"]
    said = (
        f"{last['how'].capitalize()}: {last['gain']:+.3f} ± {last['gain_error']:.3f} over the "
        "best member, on parts that it was not chosen on"
    )
    if last["how"] == "search" and len(greedy):
        said += f"; greedy selection: {greedy['gain'].iloc[0]:+.3f}"
    return said


def _trials(axis: Axes, trials: pd.DataFrame, choices: Choices) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = trials["trial"].to_numpy() + 1
    axis.plot(numbers, trials["score"], ".", color=_TRAIN, markersize=5, label="a trial")
    axis.step(
        numbers, trials["best"], where="post", color=_ACCENT, linewidth=2, label="best so far"
    )
    simpler = choices[choices["how"] != "search"]
    for how, score in zip(simpler["how"], simpler["training_score"], strict=True):
        axis.axhline(score, color=_COLOUR[how], linewidth=1.2, linestyle="--", label=how, zorder=3)
    low, high = _range([*simpler["training_score"], *trials["best"]], trials["score"])
    axis.set_ylim(low, high)
    below = int((trials["score"] < low).sum())
    note = f" ({below} trials lie below)" if below else ""
    axis.set_title(f"Score on the parts chosen on{note}", fontsize=10, loc="left")
    axis.set_xlabel("trial", fontsize=10)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False, fontsize=9)
    _quieten(axis, grid="x")


def _range(needed: list[float], scores: pd.Series) -> tuple[float, float]:
    """Limits that show what is needed and the better half of the scores.

    A trial in which nothing was found would make a line of all others.
    """
    low, high = min(*needed, float(scores.median())), max(needed)
    margin = 0.15 * (high - low) or 0.01
    return low - 2 * margin, high + margin


def _held_out(axis: Axes, choices: Choices) -> None:
    folds = [column for column in choices.columns if column.startswith("fold ")]
    places = np.arange(len(choices))[::-1]
    for place, (_, row) in zip(places, choices.iterrows(), strict=True):
        colour = _COLOUR[str(row["how"])]
        axis.plot(row[folds], [place] * len(folds), "o", color=colour, alpha=0.35, markersize=6)
        axis.plot(row["held_out_score"], place, "D", color=colour, markersize=8)
        axis.plot(row["training_score"], place, "o", markersize=9, color=_INK, fillstyle="none")
        axis.text(
            row["held_out_score"], place + 0.18, f"{row['held_out_score']:.3f}",
            ha="center", va="bottom", fontsize=9, color=_INK,
        )  # fmt: skip
    axis.set_yticks(places, choices["how"].tolist())
    axis.set_ylim(-0.5, len(choices) - 0.3)
    axis.set_title("Score on held-out parts", fontsize=10, loc="left")
    axis.set_xlabel("dots: parts; diamond: their mean; ring: on the parts chosen on", fontsize=9)
    _quieten(axis, grid="x")
