"""The node functions that score predictions, by the metric that the parameters pick."""

from __future__ import annotations

from math import nan

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.evaluation import Metrics, evaluate, metric_of
from recycling.pipelines.tasks import METRIC, PREDICTIONS, is_labelled, with_types
from recycling.predictions import Predictions
from recycling.registry import PickedSettings


def metric_parameter(task: Task) -> str:
    """The parameter that says what a task is judged by.

    >>> metric_parameter("det")
    'params:evaluation.det'
    """
    return f"params:evaluation.{task}"


def score(truth: Annotations, predictions: Predictions, metric: PickedSettings) -> Metrics:
    """Score predictions against the truth."""
    return evaluate(metric, truth, predictions)


def score_test(truth: Annotations, predictions: Predictions, metric: PickedSettings) -> Metrics:
    """Score predictions on the test images, which may be without annotations."""
    if not is_labelled(truth):
        return Metrics(metric_of(metric).title, nan, {}, {})
    return evaluate(metric, truth, predictions)


SCORE, SCORE_TEST = (
    {task: with_types(of, predictions=PREDICTIONS[task], metric=METRIC[task]) for task in METRIC}
    for of in (score, score_test)
)
