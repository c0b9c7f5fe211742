"""The metrics that a task may be judged by, by name.

A metric is one file of `metrics`, or a module of a user's: its settings, its function and a
decorator of this module, such as ``@box_metric("map50", Map50Settings, title="mAP50")``, which
takes what `Metric` takes as well. Scores, searches, contributions and reports read the registries.

A function takes the truth (`Annotations`), the predictions, and its settings by keyword. It gives
`Metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recycling.annotations import Annotations, StoredAnnotations
from recycling.evaluation.bootstrap import ImageScores, score_of_all
from recycling.evaluation.core import Metrics
from recycling.evaluation.drawn_images import DrawnImages
from recycling.evaluation.faults import naming_member
from recycling.predictions import Predictions
from recycling.registry import PickedSettings, Registry
from recycling.stored_tables import StoredTable

Scorer = Callable[..., Mapping[str, ImageScores]]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        evaluate: The function.
        title: Its name in tables and figures, the one that its `Metrics` carry.
        image_scores: Gives, for the truth, the members' predictions by name and the settings, what
            the scores of each member are made of, image by image. None where `evaluate` has to be
            called anew for each draw of images.
        takes_parts: Whether `evaluate` also takes truth and predictions that are on disk, and reads
            some images at a time: `StoredAnnotations` and a `StoredTable`.
    """

    evaluate: Callable[..., Metrics]
    title: str
    image_scores: Scorer | None = None
    takes_parts: bool = False


CLASS_METRICS: Registry[Metric] = Registry("metric of classes", Metric)
BOX_METRICS: Registry[Metric] = Registry("metric of boxes", Metric)
MASK_METRICS: Registry[Metric] = Registry("metric of masks", Metric)


class ClassMetric(PickedSettings, registry=CLASS_METRICS, key="metric", default="macro_f1"):
    """What class probabilities are judged by."""

    metric: str


class BoxMetric(PickedSettings, registry=BOX_METRICS, key="metric", default="map50"):
    """What boxes are judged by."""

    metric: str


class MaskMetric(PickedSettings, registry=MASK_METRICS, key="metric", default="miou"):
    """What label maps are judged by."""

    metric: str


class_metric = CLASS_METRICS.add
"""A decorator that makes a function a metric of class probabilities."""

box_metric = BOX_METRICS.add
"""A decorator that makes a function a metric of boxes; see `recycling.registry.Registry`."""

mask_metric = MASK_METRICS.add
"""A decorator that makes a function a metric of label maps."""


def metric_of(settings: PickedSettings) -> Metric:
    """The metric that settings pick.

    >>> from recycling.evaluation import BoxMetric
    >>> metric_of(BoxMetric.model_validate({"metric": "map50"})).title
    'mAP50'
    """
    metric: Metric = settings.picked
    return metric


def evaluate(
    settings: PickedSettings,
    truth: Annotations | StoredAnnotations,
    predictions: Predictions | StoredTable,
) -> Metrics:
    """Judge predictions by the metric that settings pick.

    Args:
        settings: The metric and its settings: a `ClassMetric`, `BoxMetric` or `MaskMetric`.
        truth: The images that were predicted on, and what is on them; on disk where the metric
            takes parts.
        predictions: Of the kind that the metric is for; on disk where it takes parts.

    Raises:
        EvaluationError: They do not fit together, or there is no truth to compare with.
    """
    return metric_of(settings).evaluate(truth, predictions, **settings.arguments())


def score_of(settings: PickedSettings, truth: Annotations, predictions: Predictions) -> float:
    """The score that `evaluate` gives, without its details, which take longer.

    Args:
        settings: The metric and its settings.
        truth: The images that were predicted on, and what is on them.
        predictions: Of the kind that the metric is for.

    Returns:
        The score; NaN where there is nothing to compare.

    Raises:
        EvaluationError: As `evaluate` does.
    """
    if metric_of(settings).image_scores is None:
        return evaluate(settings, truth, predictions).score
    return score_of_all(image_scores(settings, truth, {"predictions": predictions})["predictions"])


def scored_images(settings: PickedSettings, truth: Annotations) -> list[int]:
    """The images, by id, in the order in which `image_scores` has them.

    Args:
        settings: The metric and its settings.
        truth: The images that were predicted on, and what is on them.

    Returns:
        Those of the truth; where crops are counted, those with one, in ascending order.
    """
    ids = truth.images["image_id"].tolist()
    if isinstance(settings, ClassMetric) and metric_of(settings).image_scores is not None:
        ids = sorted(truth.objects().annotations["image_id"].unique().tolist())
    return ids


def scored_groups(settings: PickedSettings, truth: Annotations) -> pd.Series[str]:
    """The group of each image, by its id, in the order in which `image_scores` has them.

    Args:
        settings: The metric and its settings.
        truth: The images that were predicted on, and what is on them.
    """
    groups = truth.images.set_index("image_id")["group"]
    return groups.loc[scored_images(settings, truth)]


def image_scores(
    settings: PickedSettings, truth: Annotations, members: Mapping[str, Any]
) -> dict[str, ImageScores]:
    """What the scores of members are made of, image by image.

    Args:
        settings: The metric and its settings.
        truth: The images that were predicted on, and what is on them.
        members: The predictions of each member, by its name.

    Returns:
        By member, what gives the score of any draw of images. It is quick where the metric brings a
        form of its own; else every draw is evaluated anew.

    Raises:
        EvaluationError: As `evaluate` does; the member is named.
    """
    metric, arguments = metric_of(settings), settings.arguments()
    if metric.image_scores is not None:
        return dict(metric.image_scores(truth, members, **arguments))
    scores: dict[str, ImageScores] = {}
    for name, predictions in members.items():
        with naming_member(name):
            metric.evaluate(truth, predictions, **arguments)

        def score(truth: Annotations, predictions: Any) -> float:
            return metric.evaluate(truth, predictions, **arguments).score

        scores[name] = DrawnImages(truth, predictions, score)
    return scores
