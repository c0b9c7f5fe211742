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

__all__ = [
    "CLASS_PROBABILITIES",
    "DETECTIONS",
    "IGNORE",
    "ClassProbabilities",
    "Detections",
    "LabelMap",
    "LabelMaps",
    "Predictions",
]
