"""Macro F1 of class probabilities."""

from __future__ import annotations

from functools import partial
from typing import Literal

from recycling.annotations import Annotations
from recycling.evaluation.class_counts import Counts, count_crops, mean_of_classes
from recycling.evaluation.classes import class_metrics
from recycling.evaluation.core import Metrics
from recycling.evaluation.metric import ClassMetric, class_metric
from recycling.predictions import ClassProbabilities


class MacroF1Settings(ClassMetric):
    """The mean F1 of the categories that the truth holds: rare ones count as much as others."""

    metric: Literal["macro_f1"] = "macro_f1"


def f1_of_classes(hits: Counts, true: Counts, predicted: Counts) -> Counts:
    """The macro F1 of crop counts, (draws, classes) each; (draws,), NaN without a crop.

    >>> import numpy as np
    >>> one_image = [np.array([counts]) for counts in ([3.0, 1.0], [3.0, 2.0], [5.0, 2.0])]
    >>> f1_of_classes(*one_image).tolist()
    [0.625]
    """
    return mean_of_classes(2 * hits, true + predicted, true > 0)


@class_metric(
    "macro_f1",
    MacroF1Settings,
    title="macro F1",
    image_scores=partial(count_crops, score=f1_of_classes),
)
def macro_f1(truth: Annotations, probabilities: ClassProbabilities) -> Metrics:
    """Harmonic mean of precision and recall, the mean over the categories that the truth holds.

    Source: Opitz and Burst, Macro F1 and Macro F1 (2019), the mean of F1 scores.

    Args:
        truth: The annotations whose crops were classified; crowd regions are left out.
        probabilities: A row for each annotation, a column for each category's name; schema
            `recycling.predictions.CLASS_PROBABILITIES`.

    Returns:
        Metric ``macro F1``, by class the F1; details as `class_metrics` gives them.

    Raises:
        EvaluationError: The truth is empty, an annotation has no row or a row no annotation, a
            category has no column, or a row is no distribution.
    """
    return class_metrics(truth, probabilities, "macro F1")
