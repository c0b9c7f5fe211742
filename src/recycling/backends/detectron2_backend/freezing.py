"""Stages of the backbone that do not learn."""

from __future__ import annotations

from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared.model import Model

N_STAGES = 4
"""Of a residual network, after its first convolution."""


def set_freeze(config: Any, model: Model) -> None:
    """Put `freeze` into a config; 0 freezes the first convolution, 1 the first stage too.

    Args:
        config: The ``CfgNode``; changed in place.
        model: The settings.

    Raises:
        BackendError: The backbone has no such stages.
    """
    if model.freeze is None:
        return
    if "resnet" not in config.MODEL.BACKBONE.NAME:
        raise BackendError(
            f"model {model.recipe!r}: detectron2 cannot honour 'freeze' for backbone "
            f"{config.MODEL.BACKBONE.NAME!r}; remove it"
        )
    if model.freeze > N_STAGES:
        raise BackendError(
            f"model {model.recipe!r}: freeze is {model.freeze}, but a ResNet has {N_STAGES} "
            f"stages; set it to {N_STAGES} or less"
        )
    # The library counts the first convolution as 1.
    config.MODEL.BACKBONE.FREEZE_AT = model.freeze + 1
