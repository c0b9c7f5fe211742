"""Backbones of torchvision that mmpretrain does not have."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class TorchvisionFeatures(BaseModule):  # type: ignore[misc]
    """The convolutions of one of torchvision's classifiers.

    They keep the name that they have there, so that torchvision's own weights fit.

    Args:
        architecture: Its name in `torchvision.models`, such as ``squeezenet1_1``.
        features: The attribute that holds the convolutions: ``features`` of SqueezeNet, ``layers``
            of MNASNet.
        init_cfg: How to initialise; see mmengine.
    """

    def __init__(self, architecture: str, features: str, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        from torchvision.models import get_model

        self.add_module(features, getattr(get_model(architecture, weights=None), features))
        self.features_name = features

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The last feature map of images.

        Args:
            images: (B, 3, H, W).

        Returns:
            One map, (B, C, h, w), its sides about a 16th of SqueezeNet's image, a 32nd of
            MNASNet's.
        """
        return (getattr(self, self.features_name)(images),)
