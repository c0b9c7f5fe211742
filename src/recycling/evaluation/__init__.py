"""How good predictions are: mAP of boxes, mIoU of masks, F1 of classes."""

from recycling.evaluation.boxes import detection_metrics
from recycling.evaluation.core import EvaluationError, Metrics
from recycling.evaluation.labels import classification_metrics, confusion
from recycling.evaluation.masks import segmentation_metrics

__all__ = [
    "EvaluationError",
    "Metrics",
    "classification_metrics",
    "confusion",
    "detection_metrics",
    "segmentation_metrics",
]
