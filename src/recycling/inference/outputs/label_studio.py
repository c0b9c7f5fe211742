"""Tasks for Label Studio, least sure first, with what was found as a proposal to correct."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from recycling.annotations import write_label_studio
from recycling.annotations.formats.label_studio import Control
from recycling.inference.outputs.coco import as_annotations
from recycling.inference.outputs.core import OUTPUTS
from recycling.inference.parts import Predicted
from recycling.inference.sureness import sureness
from recycling.registry import Settings


@OUTPUTS.add("label_studio", Settings, folder="label_studio")
def write(predicted: Predicted, folder: Path) -> Path:
    """Write ``label_studio/``: ``tasks.json`` to import, ``config.xml`` for what is labelled.

    Label Studio serves the images where its document root is the parent of the folder of images.

    Args:
        predicted: What was found.
        folder: Where to.
    """
    path = folder / "label_studio"
    write_label_studio(
        as_annotations(predicted),
        path,
        _control(predicted),
        sureness(predicted),
        images=_folder_of_images(predicted),
    )
    return path


def _folder_of_images(predicted: Predicted) -> str:
    """The name of the folder that the images' names are below."""
    source = next(iter(predicted.sources.values()))
    return PurePosixPath(source.address.removesuffix(source.name)).name


def _control(predicted: Predicted) -> Control:
    """Outlines of what has masks; a choice where each object is its whole image."""
    if predicted.task == "seg":
        return "PolygonLabels"
    if predicted.task == "det":
        return "RectangleLabels"
    sizes = predicted.images.set_index("image_id")
    areas = predicted.objects["image_id"].map(sizes["width"] * sizes["height"])
    is_whole = predicted.objects["area"] >= areas
    return "Choices" if is_whole.all() else "RectangleLabels"
