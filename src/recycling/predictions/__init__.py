"""The three kinds of prediction, and the submission formats."""

from recycling.predictions.core import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    IGNORE,
    ClassProbabilities,
    Detections,
    LabelMap,
    LabelMaps,
    Predictions,
)
from recycling.predictions.submission import (
    SubmissionError,
    class_probabilities_to_submission,
    detections_to_submission,
    label_maps_to_submission,
    submission_to_class_probabilities,
    submission_to_detections,
    submission_to_label_maps,
)

__all__ = [
    "CLASS_PROBABILITIES",
    "DETECTIONS",
    "IGNORE",
    "ClassProbabilities",
    "Detections",
    "LabelMap",
    "LabelMaps",
    "Predictions",
    "SubmissionError",
    "class_probabilities_to_submission",
    "detections_to_submission",
    "label_maps_to_submission",
    "submission_to_class_probabilities",
    "submission_to_detections",
    "submission_to_label_maps",
]
