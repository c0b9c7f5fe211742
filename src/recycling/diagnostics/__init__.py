"""Why a score is what it is: what members add, how alike they are, where they err."""

from recycling.diagnostics.changes import (
    CHANGES,
    Changes,
    detection_changes,
    label_map_changes,
    probability_changes,
)
from recycling.diagnostics.contributions import (
    CONTRIBUTIONS,
    Contributions,
    leave_one_out,
    member_contributions,
)
from recycling.diagnostics.disagreement import (
    DISAGREEMENT,
    Disagreement,
    as_predictions,
    changes_between,
    disagreement,
)
from recycling.diagnostics.diversity import (
    AGREEMENT,
    Agreement,
    alike_sentences,
    detection_agreement,
    label_map_agreement,
    probability_agreement,
)
from recycling.diagnostics.errors import (
    ERROR_CORRELATION,
    ErrorCorrelation,
    crop_error_correlation,
    object_error_correlation,
    pixel_error_correlation,
)
from recycling.diagnostics.gains import CLASS_GAINS, ClassGains, best_member, class_gains
from recycling.diagnostics.label_errors import (
    LABEL_ERRORS,
    LabelErrors,
    box_label_errors,
    class_label_errors,
    mask_label_errors,
    proposed_corrections,
    rank_label_errors,
)
from recycling.diagnostics.leaderboard import (
    LEADERBOARD_POINTS,
    LEADERBOARD_RESIDUALS,
    LeaderboardComparison,
    compare_with_leaderboard,
)
from recycling.diagnostics.thresholds import (
    PRECISION_THRESHOLDS,
    SCORE_THRESHOLDS,
    PrecisionThresholds,
    ScoreThresholds,
    best_threshold,
    precision_thresholds,
    score_thresholds,
    threshold_sentence,
)

__all__ = [
    "AGREEMENT",
    "CHANGES",
    "CLASS_GAINS",
    "CONTRIBUTIONS",
    "DISAGREEMENT",
    "ERROR_CORRELATION",
    "LABEL_ERRORS",
    "LEADERBOARD_POINTS",
    "LEADERBOARD_RESIDUALS",
    "PRECISION_THRESHOLDS",
    "SCORE_THRESHOLDS",
    "Agreement",
    "Changes",
    "ClassGains",
    "Contributions",
    "Disagreement",
    "ErrorCorrelation",
    "LabelErrors",
    "LeaderboardComparison",
    "PrecisionThresholds",
    "ScoreThresholds",
    "alike_sentences",
    "as_predictions",
    "best_member",
    "best_threshold",
    "box_label_errors",
    "changes_between",
    "class_gains",
    "class_label_errors",
    "compare_with_leaderboard",
    "crop_error_correlation",
    "detection_agreement",
    "detection_changes",
    "disagreement",
    "label_map_agreement",
    "label_map_changes",
    "leave_one_out",
    "mask_label_errors",
    "member_contributions",
    "object_error_correlation",
    "pixel_error_correlation",
    "precision_thresholds",
    "probability_agreement",
    "probability_changes",
    "proposed_corrections",
    "rank_label_errors",
    "score_thresholds",
    "threshold_sentence",
]
