"""Clean annotations become folds, with their balance."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node
from matplotlib.figure import Figure

from recycling.annotations import Annotations
from recycling.splitting import (
    Balance,
    Folds,
    Splitting,
    balance_table,
    check_leaks,
    make_folds,
)


def create_pipeline() -> Pipeline:
    """Folds, their balance and its figure."""
    return Pipeline(
        [
            node(split, ["train.annotations", "params:splitting"], "folds", name="split",
                 namespace="splitting"),
            node(measure_balance, ["train.annotations", "folds"], "fold_balance",
                 name="measure_balance", namespace="splitting"),
            node(draw_balance, "fold_balance", "fold_balance_figure", name="draw_balance",
                 namespace="splitting"),
        ]
    )  # fmt: skip


def split(annotations: Annotations, settings: Splitting) -> Folds:
    """Assign each image to a fold; a group that crosses folds stops the run."""
    folds = make_folds(annotations, settings)
    check_leaks(annotations, folds)
    return folds


def measure_balance(annotations: Annotations, folds: Folds) -> Balance:
    """The share of each category in the train and validation part of each fold."""
    return Balance(balance_table(annotations, folds))


def draw_balance(balance: Balance) -> Figure:
    """Draw the balance of the folds."""
    from recycling.reporting import balance_figure

    return balance_figure(balance)
