"""SSD's head, as far as mmdet's stops."""

from __future__ import annotations

from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS


@MODELS.register_module()
class SSDHeadWithoutLossModule(SSDHead):  # type: ignore[misc]
    """mmdet's ``SSDHead``, which cannot predict since mmdet asks each head for its ``loss_cls``.

    Its loss is a part of its code, and no module.
    """

    loss_cls = None
