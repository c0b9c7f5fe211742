"""Pictures of where two sides differ."""

from __future__ import annotations

from typing import Any

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.diagnostics import Changes
from recycling.reporting import RgbImage, changed_boxes, changed_crops, changed_masks
from recycling.sides.core import TEST, Part
from recycling.sides.workplace import Workplace

_CHANGED: dict[Task, Any] = {"cls": changed_crops, "det": changed_boxes, "seg": changed_masks}


def draw_changes(
    place: Workplace,
    task: Task,
    part: Part,
    truth: Annotations,
    first: Any,
    second: Any,
    changes: Changes,
    names: tuple[str, str],
) -> RgbImage:
    """The images on which two differ most."""
    folder = place.catalog.load("test.images" if part == TEST else "train.images")
    drawn: RgbImage = _CHANGED[task](
        truth, folder, first, second, changes, best_name=names[0], other_name=names[1]
    )
    return drawn
