"""Mean average precision of boxes at an intersection over union of 0.5."""

from __future__ import annotations

from typing import Literal

from recycling.annotations import Annotations, StoredAnnotations
from recycling.evaluation.box_matches import match_boxes
from recycling.evaluation.boxes import box_metrics
from recycling.evaluation.core import Metrics
from recycling.evaluation.metric import BoxMetric, box_metric
from recycling.predictions import Detections
from recycling.stored_tables import StoredTable


class Map50Settings(BoxMetric):
    """Mean average precision, a box being right from an overlap (IoU) of 0.5 on."""

    metric: Literal["map50"] = "map50"


@box_metric("map50", Map50Settings, title="mAP50", image_scores=match_boxes, takes_parts=True)
def map50(truth: Annotations | StoredAnnotations, detections: Detections | StoredTable) -> Metrics:
    """Average precision as Pascal VOC judged by, computed as COCO does.

    Source: Lin et al., Microsoft COCO (2014), https://cocodataset.org/#detection-eval: precision at
    101 recalls, at most 100 detections an image and category.

    Args:
        truth: The images that were predicted on, and what is on them. Crowd regions are neither
            found nor missed.
        detections: What was found; schema `recycling.predictions.DETECTIONS`.

    Returns:
        Metric ``mAP50``, by class the AP50; details as `box_metrics` gives them.

    Raises:
        EvaluationError: The truth holds no object, or a detection is on an image or of a category
            that the truth does not know.
    """
    return box_metrics(truth, detections, "mAP50")
