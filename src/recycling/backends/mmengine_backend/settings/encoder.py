"""The encoder of a U-Net: one of torchvision's classifiers."""

from __future__ import annotations

from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import kind_of
from recycling.backends.shared.model import Model

CAN_CHOOSE = "TorchvisionEncoder"
"""The backbone that any of them can be."""


def set_encoder(config: Any, model: Model) -> None:
    """Put `encoder` into the backbone, and what it brings: channels, weights, and their colours.

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.

    Raises:
        BackendError: The recipe's network has no encoder to choose.
    """
    if model.encoder is None:
        return
    backbone = config.model.get("backbone") or {}
    if kind_of(backbone) != CAN_CHOOSE:
        raise BackendError(
            f"model {model.recipe!r}: cannot honour 'encoder': it has none to choose; remove it, "
            "or use mmseg's unet_imagenet or unet_plus_plus_imagenet"
        )
    import torch
    from torchvision.models import get_model_weights

    from recycling.backends.mmengine_backend.networks.segmenters import TorchvisionEncoder

    with torch.device("meta"):
        channels = TorchvisionEncoder(model.encoder).channels
    backbone["encoder"] = model.encoder
    config.model.decode_head.in_channels = channels
    weights = get_model_weights(model.encoder).DEFAULT
    if backbone.get("init_cfg"):
        backbone["init_cfg"]["checkpoint"] = weights.url
    # Those of EfficientNetV2-L have seen images that are normalised in another way. Rounded, the
    # others' are the numbers of the recipe.
    seen = weights.transforms()
    config.model.data_preprocessor.mean = [round(255 * share, 3) for share in seen.mean]
    config.model.data_preprocessor.std = [round(255 * share, 3) for share in seen.std]
