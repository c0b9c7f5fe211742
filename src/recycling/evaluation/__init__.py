"""How good predictions are: mAP of boxes, mIoU of masks, F1 of classes; how sure, and why.

What a score is made of is counted once, image by image (`match_boxes`, `count_pixels`,
`count_crops`); then the score of any draw of images, or above any score threshold, is quick.
"""

from recycling.evaluation.bootstrap import (
    ImageScores,
    draw_images,
    score_interval,
    score_of_all,
)
from recycling.evaluation.boxes import SIZES, detection_metrics, scores_by_size
from recycling.evaluation.classes import classification_metrics, confusion
from recycling.evaluation.core import EvaluationError, Metrics
from recycling.evaluation.counting import ClassCounts, count_crops, count_pixels
from recycling.evaluation.masks import segmentation_metrics
from recycling.evaluation.matching import BoxMatches, match_boxes

__all__ = [
    "SIZES",
    "BoxMatches",
    "ClassCounts",
    "EvaluationError",
    "ImageScores",
    "Metrics",
    "classification_metrics",
    "confusion",
    "count_crops",
    "count_pixels",
    "detection_metrics",
    "draw_images",
    "match_boxes",
    "score_interval",
    "score_of_all",
    "scores_by_size",
    "segmentation_metrics",
]
