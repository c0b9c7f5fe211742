"""Several losses of a classifier, added up; mmpretrain's heads take one, mmseg's a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmpretrain.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SumOfLosses(nn.Module):
    """The sum of losses, each of them logged as ``loss_NAME``.

    Args:
        names: What to log each as.
        losses: The config of each; its weight in the sum is its own.
    """

    def __init__(self, names: Sequence[str], losses: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.names = list(names)
        self.terms = nn.ModuleList(MODELS.build(dict(loss)) for loss in losses)

    def forward(self, cls_score: Tensor, target: Tensor, **settings: Any) -> Tensor:
        """The sum.

        Args:
            cls_score: (N, C).
            target: Classes, (N,), or shares, (N, C).
            **settings: For each loss.

        Returns:
            A scalar.
        """
        values = [term(cls_score, target, **settings) for term in self.terms]
        log = MessageHub.get_current_instance()
        for name, value in zip(self.names, values, strict=True):
            log.update_scalar(f"train/loss_{name}", value.detach())
        return torch.stack(values).sum()
