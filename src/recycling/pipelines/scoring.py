"""The node functions that score predictions, by the metric that the parameters pick."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import nan

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.evaluation import (
    BoxMetric,
    ClassMetric,
    MaskMetric,
    Metrics,
    evaluate,
    metric_of,
)
from recycling.predictions import ClassProbabilities, Detections, LabelMaps
from recycling.registry import PickedSettings


def metric_parameter(task: Task) -> str:
    """The parameter that says what a task is judged by."""
    return f"params:evaluation.{task}"


def score_classes(
    truth: Annotations, predictions: ClassProbabilities, metric: ClassMetric
) -> Metrics:
    """Score class probabilities against the truth."""
    return evaluate(metric, truth, predictions)


def score_boxes(truth: Annotations, predictions: Detections, metric: BoxMetric) -> Metrics:
    """Score detections against the truth."""
    return evaluate(metric, truth, predictions)


def score_masks(truth: Annotations, predictions: LabelMaps, metric: MaskMetric) -> Metrics:
    """Score label maps against the truth."""
    return evaluate(metric, truth, predictions)


def where_truth_is_known(score: Callable[..., Metrics]) -> Callable[..., Metrics]:
    """A node function that scores predictions on images that may be without annotations."""

    @wraps(score)
    def score_test(truth: Annotations, predictions: object, metric: PickedSettings) -> Metrics:
        if truth.annotations["iscrowd"].all():
            return Metrics(metric_of(metric).title, nan, {}, {})
        return score(truth, predictions, metric)

    return score_test


METRIC: dict[Task, type[PickedSettings]] = {
    "cls": ClassMetric,
    "det": BoxMetric,
    "seg": MaskMetric,
}
SCORE: dict[Task, Callable[..., Metrics]] = {
    "cls": score_classes,
    "det": score_boxes,
    "seg": score_masks,
}
SCORE_TEST = {task: where_truth_is_known(score) for task, score in SCORE.items()}
