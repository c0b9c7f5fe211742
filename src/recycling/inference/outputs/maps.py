"""Label maps: a grey PNG an image, 0 for background, 1 for the first category."""

from __future__ import annotations

from pathlib import Path

from recycling.files import new_folder, write_image
from recycling.inference.outputs.core import OUTPUTS, file_names
from recycling.inference.parts import Predicted
from recycling.progress import track
from recycling.registry import Settings


@OUTPUTS.add("maps", Settings, tasks=("seg",), folder="label_maps")
def write(predicted: Predicted, folder: Path) -> Path:
    """Write ``label_maps/``, files named as their images.

    Args:
        predicted: What was found.
        folder: Where to.
    """
    assert predicted.maps is not None
    path = folder / "label_maps"
    names = file_names(predicted.images["file_name"].tolist(), ".png")
    rows = list(zip(predicted.images["image_id"].tolist(), names, strict=True))
    with new_folder(path) as unfinished:
        for image_id, name in track(rows, "writing label maps"):
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            write_image(unfinished / name, predicted.maps[image_id])
    return path
