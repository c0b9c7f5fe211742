"""An image with what was found on it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.predictions import LabelMap
from recycling.reporting.layout import MIN_SIDE, RgbImage, stacked
from recycling.reporting.overlays import label_legend, with_boxes, with_labels

LARGEST = 2048
"""Pixels of the longer side of a drawn image at most: larger ones are shrunk."""


def drawn(
    image: RgbImage,
    objects: pd.DataFrame,
    categories: pd.DataFrame,
    label_map: LabelMap | None = None,
) -> RgbImage:
    """An image with boxes, or with the labels of its pixels and what they mean.

    Args:
        image: (H, W, 3) RGB.
        objects: What was found on it: schema `OBJECTS`, and the name of each as `category`.
        categories: Schema `CATEGORIES`.
        label_map: Of a segmenter.
    """
    longer = max(image.shape[:2])
    scale = min(max(longer, MIN_SIDE), LARGEST) / longer
    if label_map is not None:
        labelled = with_labels(image, label_map, categories, scale)
        legend = label_legend(labelled.shape[1], np.unique(label_map), categories)
        return stacked([labelled, legend])
    labels = [
        f"{category} {score:.2f}"
        for category, score in zip(objects["category"], objects["score"], strict=True)
    ]
    return with_boxes(image, objects, labels, categories, scale)
