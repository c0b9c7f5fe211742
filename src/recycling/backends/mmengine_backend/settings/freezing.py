"""Stages of the backbone that do not learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import kind_of
from recycling.backends.shared.model import Model


@dataclass(frozen=True)
class _Stages:
    """How a backbone counts its stages.

    Attributes:
        most: How many there are behind its first convolution.
        shift: What ``frozen_stages`` is above the number of stages.
        least: The fewest that it freezes; where 0, the first convolution can be frozen alone.
    """

    most: int
    shift: int = 0
    least: int = 0


STAGES = {
    "mmpretrain.ResNet": _Stages(4),
    "mmdet.ResNet": _Stages(4),
    "mmseg.ResNet": _Stages(4),
    "mmseg.HRNet": _Stages(4),
    "mmdet.SwinTransformer": _Stages(4),
    "mmseg.SwinTransformer": _Stages(4),
    "mmdet.CSPDarknet": _Stages(4),
    "mmdet.CSPNeXt": _Stages(4),
    "recycling.EfficientDetFeatures": _Stages(7),
    # Their first number is the first convolution.
    "mmpretrain.EfficientNet": _Stages(6, shift=1),
    # They freeze it with the first stage.
    "mmpretrain.SwinTransformer": _Stages(4, shift=-1, least=1),
    "mmpretrain.ConvNeXt": _Stages(4, least=1),
    # It knows how many its network has, and freezes what lies before them with the first.
    "recycling.TimmBackbone": _Stages(99, least=1),
}
"""The backbones whose frozen stages keep their weights and the statistics of their normalisation.

Those of mmpretrain's MobileNetV2 and ShuffleNetV2 go on moving the statistics behind their first
convolution, DenseNet its first convolution itself.
"""


def set_freeze(config: Any, model: Model) -> None:
    """Put `freeze` into the backbone; 0 freezes the first convolution, 1 the first stage too.

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.

    Raises:
        BackendError: The backbone cannot freeze its stages, or has not as many.
    """
    if model.freeze is None:
        return
    backbone = config.model.get("backbone")
    if backbone is None:
        raise BackendError(
            f"model {model.recipe!r}: cannot honour 'freeze' for {kind_of(config.model)}, which "
            "has no backbone of its own; remove it"
        )
    for each in backbone.get("backbones", [backbone]):
        _freeze(each, model, model.freeze)


def _freeze(backbone: Any, model: Model, n: int) -> None:
    stages = _stages_of(backbone, model)
    name = kind_of(backbone)
    if stages is None:
        raise BackendError(
            f"model {model.recipe!r}: cannot honour 'freeze' for backbone {name!r}; remove it"
        )
    if not stages.least <= n <= stages.most:
        raise BackendError(
            f"model {model.recipe!r}: freeze is {n}, but {name} can freeze {stages.least} to "
            f"{stages.most} stages; set it so"
        )
    backbone["frozen_stages"] = n + stages.shift


def _stages_of(backbone: Any, model: Model) -> _Stages | None:
    """How the nearest class counts that a backbone is or inherits from."""
    from mmengine.registry import MODELS

    with MODELS.switch_scope_and_registry(model.backend) as registry:
        kind = registry.get(backbone["type"])
    for parent in getattr(kind, "__mro__", ()):
        key = f"{parent.__module__.partition('.')[0]}.{parent.__name__}"
        if key in STAGES:
            return STAGES[key]
    return None
