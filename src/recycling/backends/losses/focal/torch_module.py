"""Focal loss, for classes, pixels and boxes alike (Lin et al., 2017).

The libraries' own take no weights of classes, mmseg's compares all pixels with the class after the
last where there is no GPU, and the gradient of all three is no number where ``gamma`` is below 1
and a score is certain.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, one_hot


def focal_loss(logits: Tensor, targets: Tensor, gamma: float, alpha: float) -> Tensor:
    """Of each score, -alpha (1 - p)^gamma log p where the class is there, and its mirror where not.

    Args:
        logits: Scores before the sigmoid.
        targets: Of the same shape: 1 where the class is there, 0 where not, a share in between
            where images are mixed.
        gamma: How little what is learnt already counts.
        alpha: The share of what is there; what is not has the rest.

    Returns:
        Of the same shape.

    >>> focal_loss(torch.zeros(2), torch.tensor([1.0, 0.0]), gamma=2.0, alpha=0.25)
    tensor([0.0433, 0.1300])
    """
    present, absent = logsigmoid(logits), logsigmoid(-logits)
    return -(
        alpha * targets * (gamma * absent).exp() * present
        + (1 - alpha) * (1 - targets) * (gamma * present).exp() * absent
    )


class FocalLossOfClasses(nn.Module):
    """Focal loss with a sigmoid for each class, summed over the classes.

    Args:
        gamma: See `focal_loss`.
        alpha: See `focal_loss`.
        class_weight: How much each class's scores count; 1 where not given.
        reduction: ``mean`` over samples, pixels or boxes, or ``sum``.
        loss_weight: What the loss is multiplied with.
        use_sigmoid: Always true; mmdet's heads ask for it.
    """

    loss_name = "loss_focal"  # what mmseg logs it as

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float = 0.25,
        class_weight: Sequence[float] | None = None,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        use_sigmoid: bool = True,
    ) -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, alpha
        self.class_weight = None if class_weight is None else list(class_weight)
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.use_sigmoid = use_sigmoid

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            pred: Scores before the sigmoid, (N, C) or (N, C, H, W).
            target: Classes, (N,) or (N, H, W), C meaning none of them; or shares, as `pred`.
            weight: Of each sample, pixel or box, as the classes; or of each score, as `pred`.
            avg_factor: What the sum is divided by; without it, how many are not ignored.
            reduction_override: Takes the place of `reduction`.
            ignore_index: The class that does not count.

        Returns:
            A scalar.
        """
        n_classes = pred.shape[1]
        logits = pred.float().movedim(1, -1).reshape(-1, n_classes)
        if target.ndim == pred.ndim:
            counts = logits.new_ones(len(logits))
            shares = target.to(logits.dtype).movedim(1, -1).reshape(-1, n_classes)
        else:
            classes = target.reshape(-1)
            counted = torch.ones_like(classes, dtype=torch.bool)
            if ignore_index is not None:
                counted = classes != ignore_index
            counts = counted.to(logits.dtype)
            classes = classes.where(counted, classes.new_tensor(n_classes))
            shares = one_hot(classes, n_classes + 1)[:, :n_classes].to(logits.dtype)
        each = focal_loss(logits, shares, self.gamma, self.alpha) * counts[:, None]
        if self.class_weight is not None:
            each = each * each.new_tensor(self.class_weight)
        if weight is not None:
            each = each * weight.float().reshape(len(each), -1)
        total = self.loss_weight * each.sum()
        if (reduction_override or self.reduction) == "sum":
            return total
        return total / (counts.sum().clamp_min(1) if avg_factor is None else avg_factor)
