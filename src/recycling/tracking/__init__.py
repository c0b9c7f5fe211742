"""Runs in the books of others: Weights & Biases, or MLflow. One file a tracker.

What is tracked is made of what a run leaves anyway; nothing of a tracker is imported before it is
asked for.
"""

from recycling.tracking.core import (
    TRACKERS,
    Entry,
    PredictedImage,
    Tracking,
    TrackingError,
    read_tracking,
)

import recycling.tracking.trackers  # noqa: F401, isort:skip  (registers them)

__all__ = ["TRACKERS", "Entry", "PredictedImage", "Tracking", "TrackingError", "read_tracking"]
