"""Calibrated scores of boxes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.calibration.core import Calibrator, Curves, Evidence
from recycling.ensembling.members import EnsemblingError
from recycling.predictions import Detections


def calibrate_boxes(method: str, known: Detections, right: NDArray[np.float64]) -> Calibrator:
    """Learn how often a member's boxes of each category and score are right.

    Args:
        method: The name of a calibration.
        known: The member's boxes on images that it has not seen.
        right: (boxes,), 1 for a box that found an object, 0 for one that did not, NaN for one of no
            account.

    Returns:
        What calibrates boxes of the same member.

    Raises:
        EnsemblingError: Not one number a box.

    Example:
        >>> known = pd.DataFrame({"category_id": 7, "score": np.repeat([0.2, 0.9], 40)})
        >>> calibrator = calibrate_boxes("isotonic", Detections(known), np.tile([0.0, 1.0], 40))
        >>> calibrator(known)["score"].round(2).unique().tolist()
        [0.5]
    """
    if len(right) != len(known):
        raise EnsemblingError(f"{len(right)} outcomes for {len(known)} boxes; give one a box")
    score, category = known["score"].to_numpy("float64"), known["category_id"].to_numpy()
    evidence = {}
    for category_id in np.unique(category).tolist():
        own = (category == category_id) & ~np.isnan(right)
        evidence[category_id] = Evidence(score[own], right[own], np.ones(int(own.sum())))
    curves = Curves(method, evidence)

    def calibrated(boxes: Detections) -> Detections:
        before, of = boxes["score"].to_numpy("float64"), boxes["category_id"].to_numpy()
        after = np.empty(len(before))
        for category_id in pd.unique(of).tolist():
            own = of == category_id
            after[own] = np.clip(curves[category_id](before[own]), 0, 1)
        return Detections(boxes.assign(score=after))

    return calibrated
