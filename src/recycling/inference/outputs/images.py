"""The images with what was found drawn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recycling.files import new_folder, write_image
from recycling.inference.drawing import drawn
from recycling.inference.outputs.core import OUTPUTS, file_names
from recycling.inference.outputs.tables import named
from recycling.inference.parts import Predicted
from recycling.inference.sources import decoded_together
from recycling.progress import track
from recycling.registry import Settings


@OUTPUTS.add("images", Settings, folder="images")
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
            label_map = None if predicted.maps is None else predicted.maps[image_id]
            own = objects.get(image_id, none)
            image = drawn(each.pixels, own, predicted.categories, label_map)
            place = unfinished / names[image_id]
            place.parent.mkdir(parents=True, exist_ok=True)
            write_image(place, np.ascontiguousarray(image[..., ::-1]))
    return path
