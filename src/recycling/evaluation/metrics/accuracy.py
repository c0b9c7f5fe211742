"""Accuracy of class probabilities."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from recycling.annotations import Annotations
from recycling.evaluation.class_counts import Counts, count_crops
from recycling.evaluation.classes import class_metrics
from recycling.evaluation.core import Metrics
from recycling.evaluation.metric import ClassMetric, class_metric
from recycling.predictions import ClassProbabilities


class AccuracySettings(ClassMetric):
    """The share of crops whose most likely class is the true one, which is the micro F1."""

    metric: Literal["accuracy"] = "accuracy"


def share_of_hits(hits: Counts, true: Counts, predicted: Counts) -> Counts:
    """The accuracy of crop counts, (draws, classes) each; (draws,), NaN without a crop.

    >>> one_image = [np.array([counts]) for counts in ([3.0, 1.0], [5.0, 3.0], [5.0, 3.0])]
    >>> share_of_hits(*one_image).tolist()
    [0.5]
    """
    crops = true.sum(axis=1)
    result = np.full(len(crops), np.nan)
    np.divide(hits.sum(axis=1), crops, out=result, where=crops > 0)
    return result


@class_metric(
    "accuracy",
    AccuracySettings,
    title="accuracy",
    image_scores=partial(count_crops, score=share_of_hits),
)
def accuracy(truth: Annotations, probabilities: ClassProbabilities) -> Metrics:
    """The share of crops whose most likely class is the true one.

    Args:
        truth: As for `macro_f1`.
        probabilities: As for `macro_f1`.

    Returns:
        Metric ``accuracy``, by class the recall, whose mean over crops it is; details as
        `class_metrics` gives them.

    Raises:
        EvaluationError: As `macro_f1` does.
    """
    return class_metrics(truth, probabilities, "accuracy")
