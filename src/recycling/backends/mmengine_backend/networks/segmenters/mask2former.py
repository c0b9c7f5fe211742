"""Mask2Former's head for any number of classes."""

from __future__ import annotations

from typing import Any

from mmengine.config import ConfigDict
from mmseg.models.decode_heads import Mask2FormerHead
from mmseg.registry import MODELS


@MODELS.register_module()
class Mask2FormerAnyClassesHead(Mask2FormerHead):  # type: ignore[misc]
    """mmseg's ``Mask2FormerHead``, whose weights of the classes fit ``num_classes``.

    mmseg's configs list a weight for each of a data set's classes and one for "no object"; the list
    stays behind when the number of classes changes.

    Args:
        num_classes: The number of classes.
        loss_cls: The loss of the classes; its ``class_weight`` is set here.
        no_object_weight: The weight of "no object"; 0.1 in the paper.
        **settings: Those of ``Mask2FormerHead``.
    """

    def __init__(
        self,
        num_classes: int,
        loss_cls: dict[str, Any],
        no_object_weight: float = 0.1,
        **settings: Any,
    ) -> None:
        class_weight = [1.0] * num_classes + [no_object_weight]
        super().__init__(
            num_classes=num_classes,
            loss_cls=ConfigDict(loss_cls, class_weight=class_weight),
            **settings,
        )
