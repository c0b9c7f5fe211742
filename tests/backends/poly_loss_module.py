"""What needs torch of the loss in `poly_loss`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class PolyLoss(nn.Module):
    """Cross-entropy + epsilon (1 - p)."""

    def __init__(self, epsilon: float, loss_weight: float) -> None:
        super().__init__()
        self.epsilon, self.loss_weight = epsilon, loss_weight

    def forward(self, cls_score: Tensor, target: Tensor, **_: Any) -> Tensor:
        each = cross_entropy(cls_score, target, reduction="none")
        return self.loss_weight * (each + self.epsilon * (1 - (-each).exp())).mean()
