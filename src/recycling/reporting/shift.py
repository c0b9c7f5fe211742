"""A figure of how train and test images differ."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recycling.reporting.style import ACCENT, INK, PALE, QUIET, despine, new_figure
from recycling.splitting.shift.verdict import short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recycling.splitting.shift.adversarial import Shift, ShiftSummary

_WIDTH = 11.0
_LINE = 110  # characters of a line of the title


def shift_figure(shift: Shift) -> Figure:
    """How well train and test images are told apart, and by which features.

    Args:
        shift: What `recycling.splitting.adversarial_validation` found.

    Returns:
        The verdict for a title; the ROC curve on the left, the features on the right, the most
        telling on top; below, what test images are in the train part. Where nothing was measured,
        the sentences only.
    """
    measured = len(shift.likeness) > 0
    figure = new_figure(_WIDTH, 2.3 + 0.38 * max(len(shift.features), 6) if measured else 1.6)
    figure.suptitle(fill(shift.summary["verdict"], _LINE), fontsize=12, color=INK)
    figure.supxlabel(
        fill(shift.summary["shared"], _LINE), x=0.01, ha="left", fontsize=9, color=QUIET
    )
    if measured:
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
        _roc_curve(left, shift.likeness, shift.summary)
        _features(right, shift.features)
    return figure


def _roc_curve(axis: Axes, likeness: pd.DataFrame, summary: ShiftSummary) -> None:
    from sklearn.metrics import roc_curve

    in_test = (likeness["part"] == "test").to_numpy(dtype=bool)
    wrong, right, _ = roc_curve(in_test, likeness["probability"], drop_intermediate=False)
    axis.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle="--")
    axis.plot(wrong, right, color=ACCENT, linewidth=2)
    axis.fill_between(wrong, right, color=ACCENT, alpha=0.08, linewidth=0)
    axis.text(
        0.97,
        0.05,
        f"AUC {summary['auc']:.2f}\n{summary['low']:.2f} to {summary['high']:.2f}",
        ha="right",
        color=INK,
        fontsize=11,
    )
    axis.set_title("Test images told from train images", fontsize=10)
    axis.set_xlabel("train images taken for test images", fontsize=9)
    axis.set_ylabel("test images recognised", fontsize=9)
    axis.set_aspect("equal", anchor="N")
    axis.set_xticks([0, 0.5, 1])
    axis.set_yticks([0, 0.5, 1])
    despine(axis)


def _features(axis: Axes, features: pd.DataFrame) -> None:
    """Two bars a feature, what it tells alone and with the others; its means on the right."""
    positions = np.arange(len(features))[::-1]
    alone = features["auc"].to_numpy(dtype=float, na_value=np.nan) - 0.5
    lost = features["importance"].to_numpy(dtype=float, na_value=np.nan).clip(min=0)
    axis.barh(positions + 0.19, alone, 0.36, color=ACCENT, label="the feature alone")
    axis.barh(positions - 0.19, lost, 0.36, color=PALE, label="lost when it is shuffled")
    axis.set_yticks(positions, [name.replace("_", " ") for name in features["feature"]])
    axis.set_xlim(0, 0.5)
    axis.set_xticks(np.linspace(0, 0.5, 6))
    axis.set_xlabel("AUC above a guess", fontsize=9)
    axis.set_title("By which features", fontsize=10)
    despine(axis, grid="x")
    means = axis.twinx()
    means.set_ylim(axis.get_ylim())
    columns = features[["train_mean", "test_mean"]].itertuples(index=False, name=None)
    means.set_yticks(positions, [f"{_mean(train)} \u2192 {_mean(test)}" for train, test in columns])
    means.set_ylabel("mean, train \u2192 test", fontsize=9)
    despine(means)
    axis.legend(loc="upper right", bbox_to_anchor=(1, -0.1), ncols=2, frameon=False, fontsize=9)


def _mean(value: float) -> str:
    return "none" if pd.isna(value) else short_number(value)
