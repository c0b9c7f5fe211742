"""How good predictions are: mAP of boxes, mIoU of masks, F1 of classes; how sure, and why.

What a task is judged by is picked by name: `evaluate` gives the score, `image_scores` what it is
made of, image by image. Then the score of any draw of images is quick.
"""

# Metrics; the first of a kind is its default.
# isort: off
from recycling.evaluation.metrics.map50 import map50
from recycling.evaluation.metrics.map50_95 import map50_95
from recycling.evaluation.metrics.miou import miou
from recycling.evaluation.metrics.mean_dice import mean_dice
from recycling.evaluation.metrics.macro_f1 import macro_f1
from recycling.evaluation.metrics.accuracy import accuracy
# isort: on

from recycling.evaluation.bootstrap import (
    ImageScores,
    draw_groups,
    draw_images,
    groups_with_truth,
    score_interval,
    score_of_all,
)
from recycling.evaluation.box_matches import (
    BoxMatches,
    match_boxes,
    match_boxes_by_size,
    right_boxes,
)
from recycling.evaluation.class_counts import ClassCounts
from recycling.evaluation.classes import confusion
from recycling.evaluation.core import EvaluationError, Metrics
from recycling.evaluation.metric import (
    BOX_METRICS,
    CLASS_METRICS,
    MASK_METRICS,
    BoxMetric,
    ClassMetric,
    MaskMetric,
    evaluate,
    image_scores,
    metric_of,
    score_of,
    scored_groups,
    scored_images,
)
from recycling.evaluation.object_sizes import SIZES, is_of_size

__all__ = [
    "BOX_METRICS",
    "CLASS_METRICS",
    "MASK_METRICS",
    "SIZES",
    "BoxMatches",
    "BoxMetric",
    "ClassCounts",
    "ClassMetric",
    "EvaluationError",
    "ImageScores",
    "MaskMetric",
    "Metrics",
    "accuracy",
    "confusion",
    "draw_groups",
    "draw_images",
    "evaluate",
    "groups_with_truth",
    "image_scores",
    "is_of_size",
    "macro_f1",
    "map50",
    "map50_95",
    "match_boxes",
    "match_boxes_by_size",
    "mean_dice",
    "metric_of",
    "miou",
    "right_boxes",
    "score_interval",
    "score_of",
    "score_of_all",
    "scored_groups",
    "scored_images",
]
