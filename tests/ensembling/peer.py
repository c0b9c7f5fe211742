"""Boxes that the fusion is tried on, beside the package whose semantics it keeps."""

import os

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from recycling.predictions import DETECTIONS

# A power of two: pixels become the package's shares of the picture without rounding.
SIDE = 1024
MORE = int(os.environ.get("MORE_EXAMPLES", "1"))
"""By how much property tests are longer than usual; `make test-slow` tries thousands of cases."""
SIZES = st.integers(0, 25) | st.integers(60, 150)
"""Of members: a few boxes, or so many that a category may have more than are looked at at once."""
BOX = ["x_min", "y_min", "x_max", "y_max"]


def table(*rows):
    """Rows of image_id, category_id, score, x_min, y_min, x_max, y_max."""
    return DETECTIONS.conform(pd.DataFrame(list(rows), columns=DETECTIONS.names), where="test")


def random_member(rng, n_boxes, n_images, *, on_grid):
    """Boxes that overlap, coincide, touch and, some of them, have no area; no two scores alike."""
    if on_grid:
        low = rng.integers(0, 4, (n_boxes, 2)) * 128
        boxes = np.hstack([low, low + rng.integers(0, 4, (n_boxes, 2)) * 128]).astype(float)
    else:
        places = rng.integers(0, 3, n_boxes) * 250
        low = places[:, None] + rng.uniform(0, 30, (n_boxes, 2))
        boxes = np.hstack([low, low + rng.uniform(60, 140, (n_boxes, 2))])
    frame = pd.DataFrame(boxes, columns=BOX)
    frame["image_id"] = rng.integers(0, n_images, n_boxes) * 7 + 3
    frame["category_id"] = rng.integers(0, 3, n_boxes) * 5 + 1
    frame["score"] = rng.uniform(0.01, 1, n_boxes)
    return DETECTIONS.conform(frame, where="random")


def in_order(labels, scores, boxes, *, score_decimals=6):
    """Rows of category, score and box, the best first; rounding of either side changes no order."""
    rows = np.column_stack([labels, scores, boxes]).astype(float)
    scores = -np.round(rows[:, 1], score_decimals)
    return rows[np.lexsort((*np.round(rows.T[2:], 4), rows[:, 0], scores))]


def ours(fused, image_id, *, class_agnostic=False, score_decimals=6):
    """What our fusion made of one image, `in_order`."""
    frame = fused[fused["image_id"] == image_id]
    labels = frame["category_id"] * (not class_agnostic)
    return in_order(labels, frame["score"], frame[BOX].to_numpy(), score_decimals=score_decimals)


def weighted_box_in_float64(boxes, conf_type="avg"):
    """The package's `get_weighted_box`, without its rounding to float32."""
    boxes = np.array(boxes)
    summed = np.zeros(4)
    total = 0.0
    for box in boxes:
        summed += box[1] * box[4:]
        total += box[1]
    score = boxes[:, 1].max() if conf_type == "max" else total / len(boxes)
    return np.concatenate([[boxes[0, 0], score, boxes[:, 2].sum(), -1], summed / total])
