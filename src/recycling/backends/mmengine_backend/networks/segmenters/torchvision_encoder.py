"""torchvision's classifiers as encoders of a U-Net: a map at each scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

_OF_THE_CLASSES = frozenset({"avgpool", "fc", "classifier"})


@MODELS.register_module()
class TorchvisionEncoder(BaseModule):  # type: ignore[misc]
    """One of torchvision's classifiers up to its last map, with a map at each scale on the way.

    Its weights are named as there, so that torchvision's own, trained on ImageNet, fit. The
    convolution of one pixel with which EfficientNet and MobileNet widen their last map for the
    classes is left out, as in timm's and segmentation_models_pytorch's encoders.

    Args:
        encoder: Its name in `torchvision.models`, such as ``resnet50``.
        init_cfg: How to initialise; see mmengine.

    Attributes:
        channels: Those of the maps, finest first.
    """

    def __init__(self, encoder: str, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        from torchvision.models import get_model
        from torchvision.ops.misc import Conv2dNormActivation

        for name, part in get_model(encoder, weights=None).named_children():
            if name == "features" and isinstance(part[-1], Conv2dNormActivation):
                part = part[:-1]
            if name not in _OF_THE_CLASSES:
                self.add_module(name, part)
        self.last_of_scale, self.channels = self._scales()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The last map of each scale.

        Args:
            images: (B, 3, H, W).

        Returns:
            Maps (B, C_i, H_i, W_i), each half as large as the one before. The first is half as
            large as the images; ConvNeXt's a quarter.
        """
        maps, x = [], images
        for number, step in enumerate(self._steps()):
            x = step(x)
            if number in self.last_of_scale:
                maps.append(x)
        return tuple(maps)

    def _steps(self) -> Iterator[nn.Module]:
        for name, part in self.named_children():
            yield from part.children() if name == "features" else [part]

    @torch.no_grad()
    def _scales(self) -> tuple[frozenset[int], list[int]]:
        """After which steps a map is the last of its scale, and the channels of those."""
        self.eval()
        shapes, x = [], torch.zeros(1, 3, 64, 64)
        for step in self._steps():
            x = step(x)
            shapes.append(x.shape)
        self.train()
        sides = [shape[-1] for shape in shapes]
        last = [n for n, side in enumerate(sides) if side not in sides[n + 1 :]]
        return frozenset(last), [int(shapes[n][1]) for n in last]
