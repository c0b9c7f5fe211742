"""The images with what was found drawn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recycling.files import new_folder, write_image
from recycling.inference.outputs.core import OUTPUTS, file_names
from recycling.inference.outputs.tables import named
from recycling.inference.parts import Predicted
from recycling.inference.sources import decoded_together
from recycling.progress import track
from recycling.registry import Settings
from recycling.reporting.layout import MIN_SIDE, RgbImage, stacked
from recycling.reporting.overlays import label_legend, with_boxes, with_labels

LARGEST = 2048
"""Pixels of the longer side of a drawn image at most: larger ones are shrunk."""


@OUTPUTS.add("images", Settings)
def write(predicted: Predicted, folder: Path) -> Path:
    """Write ``images/``, JPEG files named as their images; those that are gone are left out.

    Args:
        predicted: What was found.
        folder: Where to.
    """
    path = folder / "images"
    ids = predicted.images["image_id"].tolist()
    names = dict(zip(ids, file_names(predicted.images["file_name"].tolist(), ".jpg"), strict=True))
    numbers = {source.name: image_id for image_id, source in predicted.sources.items()}
    objects = dict(list(named(predicted).groupby("image_id")))
    none = named(predicted).iloc[:0]
    opened = (
        each
        for together in decoded_together(predicted.sources.values(), together=8)
        for each in together
    )
    with new_folder(path) as unfinished:
        for each in track(opened, "drawing", total=len(ids)):
            if each.pixels is None:
                continue
            image_id = numbers[each.source.name]
            drawn = _drawn(predicted, image_id, each.pixels, objects.get(image_id, none))
            place = unfinished / names[image_id]
            place.parent.mkdir(parents=True, exist_ok=True)
            write_image(place, np.ascontiguousarray(drawn[..., ::-1]))
    return path


def _drawn(predicted: Predicted, image_id: int, image: RgbImage, objects: pd.DataFrame) -> RgbImage:
    longer = max(image.shape[:2])
    scale = min(max(longer, MIN_SIDE), LARGEST) / longer
    categories = predicted.categories
    if predicted.maps is not None:
        label_map = predicted.maps[image_id]
        drawn = with_labels(image, label_map, categories, scale)
        return stacked([drawn, label_legend(drawn.shape[1], np.unique(label_map), categories)])
    labels = [
        f"{category} {score:.2f}"
        for category, score in zip(objects["category"], objects["score"], strict=True)
    ]
    return with_boxes(image, objects, labels, categories, scale)
