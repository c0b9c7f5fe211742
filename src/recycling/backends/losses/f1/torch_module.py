"""Macro soft F1 as a module."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import one_hot

from recycling.backends.losses.soft_f1 import mean_loss


class SoftF1Loss(nn.Module):
    """1 - macro F1 of a batch of images, over the classes that are in it.

    Args:
        loss_weight: What the loss is multiplied with.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, cls_score: Tensor, target: Tensor, avg_factor: float | None = None) -> Tensor:
        """The loss of a batch.

        Args:
            cls_score: Scores before the softmax, (N, C).
            target: Classes, (N,), or shares of a mixed image's classes, (N, C).
            avg_factor: Not needed: F1 is of the batch as a whole.

        Returns:
            A scalar.
        """
        probabilities = cls_score.float().softmax(dim=1)
        if target.ndim == 1:
            target = one_hot(target, cls_score.shape[1])
        return self.loss_weight * mean_loss(probabilities, target.to(probabilities.dtype))
