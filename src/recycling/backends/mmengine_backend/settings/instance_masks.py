"""The masks that some detectors learn from, such as Hybrid Task Cascade and Mask2Former."""

from __future__ import annotations

from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import mappings_in
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.model import Model


def set_instance_masks(config: Any, model: Model, data: TrainingSet) -> None:
    """Load masks with the boxes where the network learns from them.

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.
        data: What is trained on.

    Raises:
        BackendError: A box of the training data has no mask.
    """
    # A segmenter's Mask2Former makes its masks of the label map.
    if model.task != "det" or not any("loss_mask" in node for node in mappings_in(config.model)):
        return
    if data.boxes_without_mask:
        raise BackendError(
            f"model {model.recipe!r}: learns from masks, and {data.boxes_without_mask} of the "
            "training boxes have none; use a recipe of boxes, such as cascade_rcnn_r50 or "
            "detectors_cascade_rcnn_r50"
        )
    load_masks(config)


def load_masks(config: Any) -> None:
    """Have samples carry a mask for each box.

    Args:
        config: The resolved ``mmengine.Config``, before its augmentation is set; changed in place.
    """
    for step in config.train_dataloader.dataset.pipeline:
        if step["type"] == "LoadAnnotations":
            step["with_mask"] = True
