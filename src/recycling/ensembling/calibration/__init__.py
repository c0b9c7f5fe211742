"""Scores made comparable before they are fused: what a member says becomes how often it is right.

A member that says 0.9 and is right half of the time outvotes one that says 0.6 and is. What turns
its scores into probabilities is learnt for each member and class from predictions out of fold.
"""

from recycling.ensembling.calibration.core import (
    CALIBRATIONS,
    NONE,
    Calibrator,
    Curve,
    Evidence,
    calibration,
)

# Methods.
# isort: off
from recycling.ensembling.calibration.isotonic import isotonic
from recycling.ensembling.calibration.platt import platt
# isort: on

from recycling.ensembling.calibration.boxes import calibrate_boxes
from recycling.ensembling.calibration.classes import calibrate_classes
from recycling.ensembling.calibration.masks import calibrate_masks, count_planes

__all__ = [
    "CALIBRATIONS",
    "NONE",
    "Calibrator",
    "Curve",
    "Evidence",
    "calibrate_boxes",
    "calibrate_classes",
    "calibrate_masks",
    "calibration",
    "count_planes",
    "isotonic",
    "platt",
]
