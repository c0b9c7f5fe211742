"""YOLOX's last epochs: its boxes learn with the L1 loss as well."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from recycling.backends.mmengine_backend.hooks.current_network import network_of


class L1AtTheEnd(Hook):  # type: ignore[misc]
    """Adds the L1 loss of YOLOX in the last epochs, when mosaic and mixup are off.

    A head without one learns as before. It looks at the epoch alone, so that a training goes on
    after a stop as it would have.

    Args:
        first: The epoch, from 0, from which it is added.

    Source: Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021"; mmdet's ``YOLOXModeSwitchHook``.
    """

    def __init__(self, first: int) -> None:
        self.first = first

    def before_train_epoch(self, runner: Any) -> None:
        """Switch it by the epoch."""
        head: Any = getattr(network_of(runner), "bbox_head", None)
        if hasattr(head, "use_l1"):
            head.use_l1 = runner.epoch >= self.first
