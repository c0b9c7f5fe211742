"""A search over settings: how the score rose, what mattered, and where the good values lie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recycling.experiments import Trials
from recycling.experiments.tuning import FEWEST_FOR_IMPORTANCE
from recycling.reporting.style import ACCENT, INK, PALE, QUIET, despine, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def tuning_figure(name: str, trials: Trials, importance: Mapping[str, float]) -> Figure:
    """History, importance, and a slice for each setting.

    Args:
        name: Of the search.
        trials: What was tried.
        importance: How much of the variance each setting explains; empty where that is unknown.
    """
    settings = [json.loads(text) for text in trials["settings"]]
    names = list(dict.fromkeys(key for own in settings for key in own))
    figure = new_figure(3.0 * (2 + len(names)), 3.0)
    figure.suptitle(
        f"{name}: {len(trials)} trainings, the first of the base", fontsize=11, color=INK
    )
    axes = figure.subplots(1, 2 + len(names), squeeze=False)[0]
    _history(axes[0], trials)
    _importance(axes[1], importance)
    for axis, setting in zip(axes[2:], names, strict=True):
        altered = [setting in own for own in settings]  # the base alters nothing
        values = [own[setting] for own in settings if setting in own]
        _slice(axis, setting, values, trials[altered])
    return figure


def _history(axis: Axes, trials: Trials) -> None:
    score = trials["score"].to_numpy(dtype=float, na_value=np.nan)
    done = (trials["state"] == "complete").to_numpy()
    number = trials["trial"].to_numpy()
    axis.plot(number[~done], score[~done], "o", color=PALE, markersize=5, label="pruned, failed")
    axis.plot(number[done], score[done], "o", color=ACCENT, markersize=5, label="to its end")
    if done.any():
        best = np.maximum.accumulate(np.where(done, score, -np.inf))
        axis.step(number, np.where(np.isfinite(best), best, np.nan), where="post", color=QUIET)
    axis.set_title("score, trial by trial", fontsize=9)
    axis.legend(fontsize=7, frameon=False)
    despine(axis, grid="x")


def _importance(axis: Axes, importance: Mapping[str, float]) -> None:
    axis.set_title("share of the variance", fontsize=9)
    despine(axis, grid="x")
    if not importance:
        few = f"told from {FEWEST_FOR_IMPORTANCE} trainings\nto their end on"
        axis.text(0.5, 0.5, few, ha="center", fontsize=8)
        return
    names = list(importance)[::-1]
    axis.barh(range(len(names)), [importance[name] for name in names], color=ACCENT)
    axis.set_yticks(range(len(names)), names)


def _slice(axis: Axes, setting: str, values: list[Any], trials: pd.DataFrame) -> None:
    score = trials["score"].to_numpy(dtype=float, na_value=np.nan)
    done = (trials["state"] == "complete").to_numpy()
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        places = np.array(values, dtype=float)
        if len(places) and places.min() > 0 and places.max() > 20 * places.min():
            axis.set_xscale("log")
    else:
        words = [value if isinstance(value, str) else json.dumps(value) for value in values]
        known = sorted(set(words))
        places = np.array([known.index(word) for word in words], dtype=float)
        axis.set_xticks(range(len(known)), known, rotation=30, ha="right", fontsize=7)
    axis.plot(places[~done], score[~done], "o", color=PALE, markersize=5)
    axis.plot(places[done], score[done], "o", color=ACCENT, markersize=5)
    axis.set_title(setting, fontsize=9)
    axis.tick_params(axis="x", rotation=30)
    despine(axis, grid="x")
