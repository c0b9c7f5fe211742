"""What predicts, by name: as the last run left it, or as it was exported."""

from recycling.predictors.core import (
    Asked,
    Loading,
    checkpoints_of,
    look_up,
    predictor_of,
    task_of,
    write_fusion,
)
from recycling.predictors.promises import promised_thresholds

__all__ = [
    "Asked",
    "Loading",
    "checkpoints_of",
    "look_up",
    "predictor_of",
    "promised_thresholds",
    "task_of",
    "write_fusion",
]
