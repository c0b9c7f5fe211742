"""The node functions that score predictions, by the metric that the parameters pick."""

from __future__ import annotations

import logging
from dataclasses import replace
from math import isnan, nan

from recycling.annotations import Annotations, StoredAnnotations
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
from recycling.stored_tables import by_parts, whole

logger = logging.getLogger(__name__)

DRAWN_IMAGES = 100_000
"""Of how many images on disk the interval of a score is drawn."""


def metric_parameter(task: Task) -> str:
    """The parameter that says what a task is judged by.

    >>> metric_parameter("det")
    'params:evaluation.det'
    """
    return f"params:evaluation.{task}"


def score(
    truth: Annotations | StoredAnnotations, predictions: Predictions, metric: PickedSettings
) -> Metrics:
    """Score predictions against the truth, some images at a time where both are on disk."""
    if not metric_of(metric).takes_parts:
        truth, predictions = whole(truth), whole(predictions)
    return with_interval(evaluate(metric, truth, predictions), truth, predictions, metric)


def score_test(
    truth: Annotations | StoredAnnotations, predictions: Predictions, metric: PickedSettings
) -> Metrics:
    """Score predictions on the test images, which may be without annotations."""
    if not is_labelled(truth):
        return Metrics(metric_of(metric).title, nan, {}, {})
    return score(truth, predictions, metric)


def with_interval(
    metrics: Metrics,
    truth: Annotations | StoredAnnotations,
    predictions: Predictions,
    metric: PickedSettings,
) -> Metrics:
    """The same with the interval of the score, where the metric has a quick form.

    Where all draws of images score alike, as of one group, there is none.
    Of more than `DRAWN_IMAGES` images on disk there is none: it would be too narrow to matter, and
    as many images would have to be drawn again and again in memory.
    """
    if metric_of(metric).image_scores is None or isnan(metrics.score):
        return metrics
    if isinstance(truth, StoredAnnotations) and len(truth.images) > DRAWN_IMAGES:
        logger.warning(
            "%s of %d images has no interval: it is drawn of %d at most",
            metrics.metric,
            len(truth.images),
            DRAWN_IMAGES,
        )
        return metrics
    known: Annotations = whole(truth)
    found = image_scores(metric, known, {"predictions": whole(predictions)})["predictions"]
    groups = scored_groups(metric, known)
    low, high = score_interval(found, draw_groups(groups), groups)
    return metrics if isnan(low) else replace(metrics, interval=(low, high))


SCORE, SCORE_TEST = (
    {task: with_types(of, predictions=PREDICTIONS[task], metric=METRIC[task]) for task in METRIC}
    for of in (score, score_test)
)
for scorer in (SCORE["det"], SCORE_TEST["det"]):
    by_parts(scorer)
