"""Hybrid Task Cascade as a detector of boxes."""

from __future__ import annotations

from mmdet.models.roi_heads import HybridTaskCascadeRoIHead
from mmdet.registry import MODELS


@MODELS.register_module()
class BoxOnlyHybridTaskCascadeRoIHead(HybridTaskCascadeRoIHead):  # type: ignore[misc]
    """mmdet's ``HybridTaskCascadeRoIHead`` that learns from masks, and predicts none.

    The boxes do not depend on the masks' predictions, and a full-size mask of each box takes
    memory and time.
    """

    @property
    def with_mask(self) -> bool:
        """Whether masks are looked at now."""
        return bool(self.training and super().with_mask)
