"""Dice loss as a module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from recycling.backends.losses.soft_f1 import mean_loss


class DiceLossOfClasses(nn.Module):
    """1 - Dice of a batch of masks, averaged over the classes that are in it.

    mmseg's own makes one class of all, so that a large one hides a small one, and counts what is
    predicted on ignored pixels as wrong.

    Args:
        class_weight: How much each class counts in the mean; 1 where not given.
        loss_weight: What the loss is multiplied with.
    """

    loss_name = "loss_dice"  # what mmseg logs it as

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.class_weight = None if class_weight is None else list(class_weight)
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = None,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            pred: Scores before the softmax, (N, C, H, W).
            target: Classes, (N, H, W).
            weight: Of each pixel, as `target`.
            ignore_index: The class of the pixels that do not count.

        Returns:
            A scalar.
        """
        n_classes = pred.shape[1]
        probabilities = pred.float().softmax(dim=1).movedim(1, -1).reshape(-1, n_classes)
        classes = target.reshape(-1)
        counts = torch.ones_like(probabilities[:, 0])
        if weight is not None:
            counts = counts * weight.reshape(-1)
        if ignore_index is not None:
            counts = counts * (classes != ignore_index)
            classes = classes.where(classes != ignore_index, torch.zeros_like(classes))
        targets = one_hot(classes, n_classes).to(probabilities.dtype)
        weights = None if self.class_weight is None else counts.new_tensor(self.class_weight)
        counts = counts[:, None]
        return self.loss_weight * mean_loss(probabilities * counts, targets * counts, weights)
