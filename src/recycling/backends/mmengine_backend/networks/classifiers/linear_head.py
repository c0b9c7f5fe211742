"""mmpretrain's ``LinearClsHead`` with dropout, which the library's own has not."""

from __future__ import annotations

from typing import Any

from mmpretrain.models.heads import LinearClsHead
from torch import Tensor, nn


class LinearHeadWithDropout(LinearClsHead):  # type: ignore[misc]
    """One linear layer on features some of which are dropped while learning.

    Its weights have the names of the library's head, so that either takes the other's.

    Args:
        dropout_rate: The share that is dropped.
        **settings: Those of the library's head.
    """

    def __init__(self, dropout_rate: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.dropout = nn.Dropout(dropout_rate)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The features of the last stage, (B, C), with some of them dropped."""
        return self.dropout(super().pre_logits(feats))  # type: ignore[no-any-return]
