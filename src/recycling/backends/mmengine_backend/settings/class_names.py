"""The names of the classes, for networks that read from them what a class is."""

from __future__ import annotations

from typing import Any

from recycling.backends.mmengine_backend.config_tree import kind_of, mappings_in
from recycling.backends.mmengine_backend.data.training_set import TrainingSet


def set_class_names(config: Any, data: TrainingSet, recipe: str) -> None:
    """Give the names of the classes to each `MultiAttributeHead` and `GroundingDINOOfClasses`.

    Args:
        config: The resolved ``mmengine.Config``, the user's options included, for these may make
            such a head; changed in place.
        data: What is trained on.
        recipe: The recipe, for errors.

    Raises:
        BackendError: The vocabulary by which names are read is not there.
    """
    for node in mappings_in(config.model):
        kind = kind_of(node)
        if kind in ("MultiAttributeHead", "GroundingDINOOfClasses"):
            node["class_names"] = list(data.classes)
        if kind == "BertOfNames":
            from recycling.backends.mmengine_backend.networks.detectors.grounding_dino import (
                pieces_of,
            )

            node.update(pieces_of(data.classes, node.pop("vocabulary"), recipe))
