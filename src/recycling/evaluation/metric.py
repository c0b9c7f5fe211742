"""The metrics that a task may be judged by, by name.

A metric is one file of `metrics`, or a module of a user's: its settings, its function and a
decorator of this module. Scores, searches, contributions and reports read the registries.

A function takes the truth (`Annotations`), the predictions, and its settings by keyword. It gives
`Metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import Field

from recycling.annotations import Annotations
from recycling.evaluation.bootstrap import ImageScores
from recycling.evaluation.core import Metrics
from recycling.evaluation.drawn_images import DrawnImages
from recycling.evaluation.faults import naming_member
from recycling.predictions import Predictions
from recycling.registry import PickedSettings, Registry, Settings

Function = TypeVar("Function", bound=Callable[..., Metrics])
Scorer = Callable[..., Mapping[str, ImageScores]]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        title: Its name in tables and figures, the one that its `Metrics` carry.
        evaluate: The function.
        image_scores: Gives, for the truth, the members' predictions by name and the settings, what
            the scores of each member are made of, image by image. None where `evaluate` has to be
            called anew for each draw of images.
    """

    title: str
    evaluate: Callable[..., Metrics]
    image_scores: Scorer | None = None


CLASS_METRICS: Registry[Metric] = Registry("metric of classes")
BOX_METRICS: Registry[Metric] = Registry("metric of boxes")
MASK_METRICS: Registry[Metric] = Registry("metric of masks")


class ClassMetric(PickedSettings, registry=CLASS_METRICS, key="metric", default="macro_f1"):
    """What class probabilities are judged by."""

    metric: str


class BoxMetric(PickedSettings, registry=BOX_METRICS, key="metric", default="map50"):
    """What boxes are judged by."""

    metric: str


class MaskMetric(PickedSettings, registry=MASK_METRICS, key="metric", default="miou"):
    """What label maps are judged by."""

    metric: str


class Evaluation(Settings):
    """The parameter `evaluation`: what each task is judged by.

    Attributes:
        cls: The metric of classification.
        det: The metric of detection.
        seg: The metric of segmentation.
    """

    cls: ClassMetric = Field(default_factory=lambda: ClassMetric.model_validate({}))
    det: BoxMetric = Field(default_factory=lambda: BoxMetric.model_validate({}))
    seg: MaskMetric = Field(default_factory=lambda: MaskMetric.model_validate({}))


def class_metric(
    name: str, settings: type[ClassMetric], *, title: str, image_scores: Scorer | None = None
) -> Callable[[Function], Function]:
    """A decorator that makes a function a metric of class probabilities.

    Args:
        name: What a user calls it.
        settings: What it takes: a field for each keyword of the function.
        title: See `Metric`.
        image_scores: See `Metric`.
    """
    return _adder(CLASS_METRICS, name, settings, title, image_scores)


def box_metric(
    name: str, settings: type[BoxMetric], *, title: str, image_scores: Scorer | None = None
) -> Callable[[Function], Function]:
    """A decorator that makes a function a metric of boxes; see `class_metric`."""
    return _adder(BOX_METRICS, name, settings, title, image_scores)


def mask_metric(
    name: str, settings: type[MaskMetric], *, title: str, image_scores: Scorer | None = None
) -> Callable[[Function], Function]:
    """A decorator that makes a function a metric of label maps; see `class_metric`."""
    return _adder(MASK_METRICS, name, settings, title, image_scores)


def metric_of(settings: PickedSettings) -> Metric:
    """The metric that settings pick."""
    metric: Metric = settings.registry[getattr(settings, settings.key)].thing
    return metric


def evaluate(settings: PickedSettings, truth: Annotations, predictions: Predictions) -> Metrics:
    """Judge predictions by the metric that settings pick.

    Args:
        settings: The metric and its settings: a `ClassMetric`, `BoxMetric` or `MaskMetric`.
        truth: The images that were predicted on, and what is on them.
        predictions: Of the kind that the metric is for.

    Raises:
        EvaluationError: They do not fit together, or there is no truth to compare with.
    """
    arguments = settings.model_dump(exclude={settings.key})
    return metric_of(settings).evaluate(truth, predictions, **arguments)


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
    metric = metric_of(settings)
    arguments = settings.model_dump(exclude={settings.key})
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


def _adder(
    registry: Registry[Metric],
    name: str,
    settings: type[PickedSettings],
    title: str,
    image_scores: Scorer | None,
) -> Callable[[Function], Function]:
    def add(function: Function) -> Function:
        registry.register(name, settings)(Metric(title, function, image_scores))
        return function

    return add
