"""COCO JSON, as annotations are read: boxes with scores, or masks."""

from __future__ import annotations

from pathlib import Path

from recycling.annotations import ANNOTATIONS, Annotations, write_coco
from recycling.inference.outputs.core import OUTPUTS
from recycling.inference.parts import Predicted
from recycling.registry import Settings


@OUTPUTS.add("coco", Settings, file="coco.json")
def write(predicted: Predicted, folder: Path) -> Path:
    """Write ``coco.json``: images, annotations of ``source`` "pseudo", categories.

    Args:
        predicted: What was found.
        folder: Where to.
    """
    path = folder / "coco.json"
    write_coco(as_annotations(predicted), path)
    return path


def as_annotations(predicted: Predicted) -> Annotations:
    """What was found as annotations of ``source`` "pseudo", numbered from 1.

    Args:
        predicted: What was found.
    """
    table = predicted.objects.assign(
        annotation_id=range(1, len(predicted.objects) + 1),
        iscrowd=False,
        source="pseudo",
        # COCO files leave out a score of 1: regions of a label map have none.
        score=predicted.objects["score"].fillna(1.0),
        extra=None,
    )
    annotations = ANNOTATIONS.conform(table[ANNOTATIONS.names], where="predictions")
    return Annotations(predicted.images, annotations, predicted.categories)
