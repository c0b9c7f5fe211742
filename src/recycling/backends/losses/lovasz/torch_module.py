"""Lovasz-softmax loss as a module."""

from __future__ import annotations

from typing import Any

from mmseg.models.losses import LovaszLoss
from torch import Tensor


class LovaszLossOfKnownPixels(LovaszLoss):  # type: ignore[misc]
    """As mmseg's, which has no value for a batch of which one pixel or none is known."""

    def forward(
        self, cls_score: Tensor, label: Tensor, *args: Any, ignore_index: int = 255, **kwargs: Any
    ) -> Tensor:
        """The loss of a batch; 0 where nothing of it is known.

        Args:
            cls_score: (N, C, H, W) scores.
            label: (N, H, W) classes.
            *args: As of mmseg's.
            ignore_index: The label of pixels that are not known.
            **kwargs: As of mmseg's.
        """
        if int((label != ignore_index).sum()) < 2:
            return cls_score.sum() * 0
        loss: Tensor = super().forward(cls_score, label, *args, ignore_index=ignore_index, **kwargs)
        return loss
