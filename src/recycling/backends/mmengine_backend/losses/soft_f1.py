"""F1 of a batch as something to learn from: counts of hits become sums of probabilities.

F1 of a class and Dice of its pixels are the same number, 2 TP / (2 TP + FP + FN), so one function
serves classes (as "macro soft F1") and masks (as Dice loss; Milletari et al., 2016, without their
squares, class by class as in Sudre et al., 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import one_hot


def soft_f1(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """F1 of each class.

    Args:
        probabilities: (N, C), of samples or pixels.
        targets: (N, C), 1 for the class and 0 for the others, or shares.

    Returns:
        (C,) from 0 to 1, and (C,) whether the class is there at all. That of an absent class is 0
        whatever the probabilities are, and teaches nothing.
    """
    hits = (probabilities * targets).sum(dim=0)
    sums = probabilities.sum(dim=0) + targets.sum(dim=0)
    present = targets.sum(dim=0) > 0
    return 2 * hits / sums.where(present, torch.ones_like(sums)), present


def mean_loss(probabilities: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - F1, averaged over the classes that are there.

    Args:
        probabilities: As for `soft_f1`.
        targets: As for `soft_f1`.
        weights: (C,), of the classes in the mean.

    Returns:
        A scalar; 0 where there is no class at all.
    """
    f1, present = soft_f1(probabilities, targets)
    shares = present.to(f1.dtype) if weights is None else present * weights
    return ((1 - f1) * shares).sum() / shares.sum().clamp_min(1e-6)


@MODELS.register_module()
class SoftF1Loss(nn.Module):
    """1 - macro F1 of a batch of pictures, over the classes that are in it.

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
            target: Classes, (N,), or shares of a mixed picture's classes, (N, C).
            avg_factor: Not needed: F1 is of the batch as a whole.

        Returns:
            A scalar.
        """
        probabilities = cls_score.float().softmax(dim=1)
        if target.ndim == 1:
            target = one_hot(target, cls_score.shape[1])
        return self.loss_weight * mean_loss(probabilities, target.to(probabilities.dtype))


@MODELS.register_module()
class DiceLossOfClasses(nn.Module):
    """1 - Dice of a batch of masks, averaged over the classes that are in it.

    mmseg's own makes one class of all, so that a large one hides a small one, and counts what is
    predicted on ignored pixels as wrong.

    Args:
        class_weight: How much each class counts in the mean; 1 where not given.
        loss_weight: What the loss is multiplied with.
        loss_name: What mmseg logs it as.
    """

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = "loss_dice",
    ) -> None:
        super().__init__()
        self.class_weight = None if class_weight is None else list(class_weight)
        self.loss_weight = loss_weight
        self.loss_name = loss_name

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
