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
