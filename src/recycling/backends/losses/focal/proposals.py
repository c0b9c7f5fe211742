"""Focal loss for detectors with proposals."""

from __future__ import annotations

from typing import Any

from mmdet.models.losses import accuracy
from torch import Tensor
from torch.nn.functional import pad

from recycling.backends.losses.focal.torch_module import FocalLossOfClasses


class FocalLossOfProposals(FocalLossOfClasses):
    """Focal loss for the box heads of detectors with proposals.

    These have a score for the background and a softmax; with this loss they have a sigmoid for each
    class, as detectors without proposals, and the background is where all are low.

    Args:
        num_classes: How many classes there are.
        **settings: Those of `FocalLossOfClasses`.
    """

    custom_cls_channels = custom_activation = custom_accuracy = True

    def __init__(self, num_classes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.num_classes = num_classes

    def get_cls_channels(self, num_classes: int) -> int:
        """How many scores a box has."""
        return num_classes

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Probabilities, (N, classes + 1); the last, which the heads expect and drop, is 0."""
        return pad(cls_score.float().sigmoid(), (0, 1))

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """How many of the proposals with an object have its class, percent."""
        found = labels < self.num_classes
        return {"acc": accuracy(cls_score[found], labels[found])}
