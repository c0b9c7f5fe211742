"""Pseudo-labels that count by their score."""

from __future__ import annotations

from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import kind_of, mappings_in
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import SCORE_WEIGHTS_OF

WEIGHED = (
    "BoxOnlyHybridTaskCascadeRoIHead",
    "CascadeRoIHead",
    "EfficientDetHead",
    "HybridTaskCascadeRoIHead",
    "RetinaHead",
    "SSDHead",
    "SSDHeadWithoutLossModule",
    "StandardRoIHead",
    "YOLOXHead",
)
"""Heads whose loss of the classes takes a weight for each object."""

STEPS = "recycling.backends.mmengine_backend.augmentations.scores"


def set_score_weights(config: Any, model: Model) -> None:
    """Have samples carry a weight for each object: the score of a pseudo-label, else 1.

    Args:
        config: The resolved ``mmengine.Config``, with its augmentation; changed in place.
        model: The settings.

    Raises:
        BackendError: The network's head takes no such weights.
    """
    if not model.score_weights:
        return
    network = config.model
    name = kind_of(network.get("roi_head") or network.get("bbox_head") or network)
    if name not in WEIGHED:
        raise BackendError(
            f"model {model.recipe!r}: {name} cannot honour score_weights; remove it, or use one of "
            f"the {SCORE_WEIGHTS_OF}"
        )
    n_classes = len(config.metainfo["classes"])
    for step in mappings_in(config.train_dataloader.dataset):
        if step.get("type") == "LoadAnnotations":
            step.update(type=f"{STEPS}.LoadScoredAnnotations", n_classes=n_classes)
        elif step.get("type") == "PackDetInputs":
            step.update(type=f"{STEPS}.PackScoredInputs", n_classes=n_classes)
