"""Compiling ahead, so that the first ensemble does not wait for the compiler."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.diagnostics.diversity import detection_agreement
from recycling.ensembling.boxes.non_maximum_weighted import non_maximum_weighted
from recycling.ensembling.boxes.soft_nms import soft_nms
from recycling.ensembling.boxes.weighted_boxes_fusion import nms, weighted_boxes_fusion
from recycling.ensembling.masks.hard_vote import hard_vote
from recycling.predictions import DETECTIONS, Detections


def compile_kernels() -> None:
    """Compile the loops that inputs of usual size need, about 15 s; numba keeps them on disk."""
    row = [(1, 1, 0.5, 0.0, 0.0, 8.0, 8.0)]
    frame = pd.DataFrame(row, columns=DETECTIONS.names)
    boxes = Detections(DETECTIONS.conform(frame, where="one box"))
    weighted_boxes_fusion([boxes, boxes])
    nms([boxes, boxes])
    soft_nms([boxes, boxes])
    non_maximum_weighted([boxes, boxes])
    detection_agreement([boxes, boxes])
    hard_vote(np.zeros((2, 8, 8), np.uint8), ranks=[0, 1])
