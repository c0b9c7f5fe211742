"""What an ensemble gains and loses, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NewType

import numpy as np
import pandas as pd

from recycling.evaluation.core import EvaluationError, Metrics
from recycling.tables import Column, Schema, register_table

ClassGains = NewType("ClassGains", pd.DataFrame)
"""One row a class; schema `CLASS_GAINS`."""

CLASS_GAINS = Schema(
    "gains by class",
    (
        Column("category", "string", "the class, the background among them", unique=True),
        Column("ensemble", "float64", "the ensemble's score", minimum=0, maximum=1),
        Column("best", "float64", "that of the best member over all classes", minimum=0, maximum=1),
        Column("mean", "float64", "the mean of all members", minimum=0, maximum=1),
        Column("over_best", "float64", "ensemble less best", minimum=-1, maximum=1),
        Column("over_mean", "float64", "ensemble less mean", minimum=-1, maximum=1),
    ),
)
register_table("class_gains", CLASS_GAINS, ClassGains)


def best_member(members: Mapping[str, Metrics]) -> str:
    """The member with the highest score; of equals, the one named first.

    Args:
        members: The metrics of each member, by its name.

    Raises:
        EvaluationError: There are no members.

    >>> best_member({"a": Metrics("mIoU", 0.5, {}, {}), "b": Metrics("mIoU", 0.6, {}, {})})
    'b'
    """
    if not members:
        raise EvaluationError("there are no members to choose the best of; give at least one")
    return max(members, key=lambda name: members[name].score)


def class_gains(ensemble: Metrics, members: Mapping[str, Metrics]) -> ClassGains:
    """Each class's score with the ensemble, with its best member, and with a member on average.

    Args:
        ensemble: The ensemble's metrics.
        members: The metrics of each member on the same images, by its name.

    Returns:
        One row a class, in the order of the ensemble's; schema `CLASS_GAINS`. A class that is not
        in the truth has no row: some members have no score for it.

    Raises:
        EvaluationError: There are no members, or a metric is another one than the ensemble's.

    >>> ensemble = Metrics("mIoU", 0.7, {"Metal": 0.8, "Glass": 0.6}, {})
    >>> members = {"a": Metrics("mIoU", 0.5, {"Metal": 0.5, "Glass": 0.5}, {})}
    >>> class_gains(ensemble, members)[["category", "over_best"]].round(2)
      category  over_best
    0    Metal        0.3
    1    Glass        0.1
    """
    best = members[best_member(members)]
    for name, metrics in members.items():
        if metrics.metric != ensemble.metric:
            raise EvaluationError(
                f"{name}: scored by {metrics.metric}, but the ensemble by {ensemble.metric}; "
                "score both alike"
            )
    shared = [
        name
        for name in ensemble.per_class
        if all(name in metrics.per_class for metrics in members.values())
    ]
    frame = pd.DataFrame(
        {
            "category": shared,
            "ensemble": [ensemble.per_class[name] for name in shared],
            "best": [best.per_class[name] for name in shared],
            "mean": [
                float(np.mean([metrics.per_class[name] for metrics in members.values()]))
                for name in shared
            ],
        }
    )
    frame["over_best"] = frame["ensemble"] - frame["best"]
    frame["over_mean"] = frame["ensemble"] - frame["mean"]
    return ClassGains(CLASS_GAINS.conform(frame, where="gains by class"))
