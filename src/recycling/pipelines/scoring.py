"""The node functions that score predictions, by the metric that the parameters pick."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.evaluation import (
    Metrics,
    draw_groups,
    evaluate,
    image_scores,
    metric_of,
    score_interval,
    scored_groups,
)
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
    return with_interval(evaluate(metric, truth, predictions), truth, predictions, metric)


def score_test(truth: Annotations, predictions: Predictions, metric: PickedSettings) -> Metrics:
    """Score predictions on the test images, which may be without annotations."""
    if not is_labelled(truth):
        return Metrics(metric_of(metric).title, nan, {}, {})
    return score(truth, predictions, metric)


def with_interval(
    metrics: Metrics, truth: Annotations, predictions: Predictions, metric: PickedSettings
) -> Metrics:
    """The same with the interval of the score, where the metric has a quick form."""
    if metric_of(metric).image_scores is None or isnan(metrics.score):
        return metrics
    found = image_scores(metric, truth, {"predictions": predictions})["predictions"]
    draws = draw_groups(scored_groups(metric, truth))
    return replace(metrics, interval=score_interval(found, draws))


SCORE, SCORE_TEST = (
    {task: with_types(of, predictions=PREDICTIONS[task], metric=METRIC[task]) for task in METRIC}
    for of in (score, score_test)
)
