"""The backbone of a recipe that takes any of timm's networks."""

from __future__ import annotations

from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import kind_of, mappings_in
from recycling.backends.shared.model import Model

CAN_CHOOSE = "TimmBackbone"
"""The backbone that any of them can be."""


def set_backbone(config: Any, model: Model) -> None:
    """Put `backbone` into a recipe: its channels into what sees its maps, the colours it knows.

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.

    Raises:
        BackendError: The recipe has no backbone to choose, or timm no such network.
    """
    if model.backbone is None:
        return
    backbone = config.model.get("backbone") or {}
    if not is_timm(backbone):
        raise BackendError(
            f"model {model.recipe!r}: cannot honour 'backbone': it has none to choose; remove it, "
            "or use mmpretrain's timm, mmdet's fcos_timm or mmseg's fpn_timm"
        )
    import torch

    from recycling.backends.mmengine_backend.networks.timm_backbone import TimmBackbone

    backbone["model_name"] = model.backbone
    with torch.device("meta"):
        made = TimmBackbone(model.backbone, backbone.get("strides"))
    if backbone.get("strides") is None:
        config.model.head.in_channels = made.channels[0]
    else:
        config.model.neck.in_channels = made.channels
    published = made.timm_model.pretrained_cfg
    config.model.data_preprocessor.mean = [255 * share for share in published["mean"]]
    config.model.data_preprocessor.std = [255 * share for share in published["std"]]


def is_timm(node: Any) -> bool:
    """Whether a part of a config is a backbone of timm's.

    >>> is_timm({"type": "recycling.networks.TimmBackbone"}), is_timm({"type": "ResNet"})
    (True, False)
    """
    return kind_of(node) == CAN_CHOOSE


def timm_networks(config: Any) -> list[str]:
    """The names of timm's networks in a config.

    >>> timm_networks({"backbone": {"type": "TimmBackbone", "model_name": "resnet18"}})
    ['resnet18']
    """
    return [str(node["model_name"]) for node in mappings_in(config) if is_timm(node)]
