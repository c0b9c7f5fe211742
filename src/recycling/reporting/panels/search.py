"""How an ensemble was chosen, and what the choice is worth."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from recycling.ensembling import ALL_FOLDS, Choices, History, choice_sentence
from recycling.reporting.pages import render_figure, render_table, render_text
from recycling.reporting.panels.core import panel
from recycling.reporting.style import ACCENT, GREEN, INK, LOSS, PALE, QUIET, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOUR = {
    "default": INK,
    "best member": QUIET,
    "all but the worst": GREEN,
    "greedy": LOSS,
    "search": ACCENT,
}
_LINE = 110  # characters of a line of the title
_SHOWN = 20  # trials
_HEADINGS = {
    "how": "chosen by",
    "method": "method",
    "weights": "weights",
    "settings": "settings",
    "held_out_score": "held out",
    "gain": "over the default",
    "gain_error": "±",
    "training_score": "on the parts chosen on",
}


@panel("Search", order=70)
def search(choices: Choices, search_history: History | None = None) -> list[Markup]:
    """The ways of choosing side by side, and how the search went."""
    if choices.empty:
        return []
    scores = dict.fromkeys(("held out", "±", "on the parts chosen on"), ".4f")
    ways = choices[list(_HEADINGS)].rename(columns=_HEADINGS)
    pieces = [render_table(ways, {**scores, "over the default": "+.4f"})]
    if search_history is not None and len(search_history):
        figure = search_figure(search_history, choices)
        pieces += [render_figure(figure, "history of the search"), *_best_trials(search_history)]
    return pieces


def _of_the_chosen(history: History) -> pd.DataFrame:
    """The trials of the search whose ensemble is chosen; the others score other images."""
    return history[history["search"] == ALL_FOLDS].drop(columns="search")


def _best_trials(history: History) -> list[Markup]:
    trials = _of_the_chosen(history)
    best = trials.sort_values("score", ascending=False, kind="stable").head(_SHOWN)
    template = "<p>{{ shown }} of {{ '{:,}'.format(total) }} trials.</p>"
    return [
        render_text(template, shown=len(best), total=len(trials)),
        render_table(best, {"trial": "", "score": ".4g", "best": ".4g"}),
    ]


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
    figure = new_figure(11, 2.2 + 0.62 * max(len(choices), 4))
    figure.suptitle(fill(_verdict(choices), _LINE), fontsize=12, color=INK)
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    _trials(left, _of_the_chosen(history), choices)
    _held_out(right, choices)
    return figure


def _verdict(choices: Choices) -> str:
    """Whether the default was kept, and what the best of the others is worth beside it."""
    sentence = choice_sentence(choices)
    return sentence[:1].upper() + sentence[1:]


def _trials(axis: Axes, trials: pd.DataFrame, choices: Choices) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = trials["trial"].to_numpy() + 1
    axis.plot(numbers, trials["score"], ".", color=PALE, markersize=5, label="a trial")
    axis.step(numbers, trials["best"], where="post", color=ACCENT, linewidth=2, label="best so far")
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
    despine(axis, grid="x")


def _range(needed: list[float], scores: pd.Series) -> tuple[float, float]:
    """Limits that show what is needed and the better half of the scores.

    A trial in which nothing was found would make a line of all others.
    """
    low, high = min(*needed, float(scores.median())), max(needed)
    margin = 0.15 * (high - low) or 0.01
    return low - 2 * margin, high + margin


def _held_out(axis: Axes, choices: Choices) -> None:
    folds = [column for column in choices.columns if column.startswith("fold ")]
    positions = np.arange(len(choices))[::-1]
    for position, (_, row) in zip(positions, choices.iterrows(), strict=True):
        colour = _COLOUR[str(row["how"])]
        axis.plot(row[folds], [position] * len(folds), "o", color=colour, alpha=0.35, markersize=6)
        axis.plot(row["held_out_score"], position, "D", color=colour, markersize=8)
        axis.plot(row["training_score"], position, "o", markersize=9, color=INK, fillstyle="none")
        axis.text(
            row["held_out_score"], position + 0.18, f"{row['held_out_score']:.3f}",
            ha="center", va="bottom", fontsize=9, color=INK,
        )  # fmt: skip
    axis.set_yticks(positions, choices["how"].tolist())
    axis.set_ylim(-0.5, len(choices) - 0.3)
    axis.set_title("Score on held-out parts", fontsize=10, loc="left")
    axis.set_xlabel("dots: parts; diamond: their mean; ring: on the parts chosen on", fontsize=9)
    despine(axis, grid="x")
