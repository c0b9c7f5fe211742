"""Cross-entropy with smoothed labels (Szegedy et al., 2016), for mmdet and mmseg, which lack it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class SmoothedCrossEntropyLoss(nn.Module):
    """torch's cross-entropy, called the way these libraries call theirs.

    Args:
        label_smoothing: The share of a label that all classes get alike.
        class_weight: How much each class counts; 1 where not given.
        loss_weight: What the loss is multiplied with.
        use_sigmoid: Always false; mmdet's heads ask for it.
    """

    loss_name = "loss_ce"  # what mmseg logs it as

    def __init__(
        self,
        label_smoothing: float,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        use_sigmoid: bool = False,
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.class_weight = None if class_weight is None else list(class_weight)
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
        """The mean over boxes or pixels.

        Args:
            pred: Scores before the softmax, (N, C) or (N, C, H, W).
            target: Classes, (N,) or (N, H, W).
            weight: As `target`.
            avg_factor: What the sum is divided by; without it, the weights of what is not ignored.
            reduction_override: ``sum`` leaves the sum.
            ignore_index: The class that does not count.

        Returns:
            A scalar.
        """
        ignored = -100 if ignore_index is None else ignore_index
        weights = None if self.class_weight is None else pred.new_tensor(self.class_weight).float()
        each = cross_entropy(
            pred.float(),
            target,
            weight=weights,
            ignore_index=ignored,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        if weight is not None:
            each = each * weight.float()
        total = self.loss_weight * each.sum()
        if reduction_override == "sum":
            return total
        if avg_factor is None:
            counted = target[target != ignored]
            sum_of_weights = counted.numel() if weights is None else weights[counted].sum().item()
            avg_factor = max(sum_of_weights, 1e-6)
        return total / avg_factor
