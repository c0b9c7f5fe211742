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
from recycling.evaluation.core import EvaluationError, Metrics
from recycling.evaluation.counting import ClassCounts, count_crops, count_pixels
from recycling.evaluation.errors import (
    ERROR_CORRELATION,
    ErrorCorrelation,
    crop_error_correlation,
    object_error_correlation,
    pixel_error_correlation,
)
from recycling.evaluation.gains import CLASS_GAINS, ClassGains, best_member, class_gains
from recycling.evaluation.labels import classification_metrics, confusion
from recycling.evaluation.leaderboard import (
    LEADERBOARD_POINTS,
    LEADERBOARD_RESIDUALS,
    LeaderboardComparison,
    compare_with_leaderboard,
)
from recycling.evaluation.masks import segmentation_metrics
from recycling.evaluation.matching import BoxMatches, match_boxes
from recycling.evaluation.thresholds import (
    SCORE_THRESHOLDS,
    ScoreThresholds,
    best_threshold,
    score_thresholds,
    threshold_sentence,
)

__all__ = [
    "CLASS_GAINS",
    "ERROR_CORRELATION",
    "LEADERBOARD_POINTS",
    "LEADERBOARD_RESIDUALS",
    "SCORE_THRESHOLDS",
    "SIZES",
    "BoxMatches",
    "ClassCounts",
    "ClassGains",
    "ErrorCorrelation",
    "EvaluationError",
    "ImageScores",
    "LeaderboardComparison",
    "Metrics",
    "ScoreThresholds",
    "best_member",
    "best_threshold",
    "class_gains",
    "classification_metrics",
    "compare_with_leaderboard",
    "confusion",
    "count_crops",
    "count_pixels",
    "crop_error_correlation",
    "detection_metrics",
    "draw_images",
    "match_boxes",
    "object_error_correlation",
    "pixel_error_correlation",
    "score_interval",
    "score_of_all",
    "score_thresholds",
    "scores_by_size",
    "segmentation_metrics",
    "threshold_sentence",
]
