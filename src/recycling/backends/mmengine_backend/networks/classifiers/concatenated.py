"""Several backbones side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule, ModuleList
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ConcatenatedBackbones(BaseModule):  # type: ignore[misc]
    """The features of several backbones for the same image, one behind the other.

    Args:
        backbones: The config of each; of its outputs the last counts.
        init_cfg: How to initialise; see mmengine.
    """

    def __init__(self, backbones: Sequence[Mapping[str, Any]], init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.backbones = ModuleList(MODELS.build(config) for config in backbones)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of images.

        Args:
            images: (B, 3, H, W).

        Returns:
            One tensor, (B, the sum of the backbones' channels); maps are averaged.
        """
        outputs = [backbone(images) for backbone in self.backbones]
        last = [output[-1] if isinstance(output, (tuple, list)) else output for output in outputs]
        features = [output.mean(dim=(2, 3)) if output.ndim == 4 else output for output in last]
        return (torch.cat(features, dim=1),)
