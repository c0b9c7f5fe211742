"""A metric of a user's own, in a file of its own."""

from typing import Literal

from recycling.annotations import Annotations
from recycling.evaluation import BoxMetric, EvaluationError, Metrics
from recycling.evaluation.metric import box_metric
from recycling.predictions import Detections


class CountSettings(BoxMetric):
    """How close the number of boxes comes to the number of objects."""

    metric: Literal["count"] = "count"
    least_score: float = 0.5


@box_metric("count", CountSettings, title="count")
def count(truth: Annotations, detections: Detections, *, least_score: float) -> Metrics:
    """Boxes of a score or more over objects, or the other way round if that is less."""
    if detections.empty:
        raise EvaluationError("detections: there are none; predict some")
    n_boxes = int((detections["score"] >= least_score).sum())
    n_objects = int((~truth.annotations["iscrowd"]).sum())
    return Metrics("count", min(n_boxes, n_objects) / max(n_boxes, n_objects), {}, {})
