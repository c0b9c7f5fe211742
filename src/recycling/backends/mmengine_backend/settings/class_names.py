"""The names of the classes, for the heads that read from them which values make up a class."""

from __future__ import annotations

from typing import Any

from recycling.backends.mmengine_backend.config_tree import mappings_in
from recycling.backends.mmengine_backend.data.training_set import TrainingSet


def set_class_names(config: Any, data: TrainingSet) -> None:
    """Give the names of the classes to each `MultiAttributeHead`.

    Args:
        config: The resolved ``mmengine.Config``, the user's options included, for these may make
            such a head; changed in place.
        data: What is trained on.
    """
    for node in mappings_in(config.model):
        if str(node.get("type", "")).rpartition(".")[2] == "MultiAttributeHead":
            node["class_names"] = list(data.classes)
