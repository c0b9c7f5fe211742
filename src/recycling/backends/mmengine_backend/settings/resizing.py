"""Labels that stay where the image shows them when a recipe or a list resizes it."""

from __future__ import annotations

from typing import Any

from recycling.backends.mmengine_backend.config_tree import mappings_in
from recycling.backends.shared.model import Model

_AUGMENTATIONS = "recycling.backends.mmengine_backend.augmentations"
_OURS = {
    "det": f"{_AUGMENTATIONS}.resize_masks.ResizeMasks",
    "seg": f"{_AUGMENTATIONS}.resize.ResizeMaps",
}


def set_resizing(config: Any, model: Model) -> None:
    """Have whatever resizes a sample with masks or a label map do so about the pixels' centres.

    Args:
        config: The resolved ``mmengine.Config``, with its augmentation; changed in place.
        model: The settings.
    """
    steps = list(mappings_in(config.train_dataloader.dataset))
    if model.task != "seg" and not any(step.get("with_mask") for step in steps):
        return
    for step in steps:
        if step.get("type") == "Resize":
            step["type"] = _OURS[model.task]
        elif step.get("type") in ("RandomChoiceResize", "RandomResize"):
            step.setdefault("resize_type", _OURS[model.task])
