"""The schedule ``poly`` with a lowest rate: the same share of the rate of every group."""

from __future__ import annotations

from typing import Any

from mmengine.optim.scheduler import PolyLR
from mmengine.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class PolyLRByShare(PolyLR):  # type: ignore[misc]
    """As mmengine's, whose lowest rate is one number, towards which slower groups would climb.

    Args:
        optimizer: Whose rates it sets.
        eta_min_ratio: The share of a group's own rate that it ends with.
        **settings: As of mmengine's.
    """

    def __init__(self, optimizer: Any, *, eta_min_ratio: float, **settings: Any) -> None:
        self.eta_min_ratio = eta_min_ratio
        super().__init__(optimizer, **settings)

    def _get_value(self) -> list[float]:
        groups = self.optimizer.param_groups
        if self.last_step == 0:
            return [group[self.param_name] for group in groups]
        left = (1 - 1 / (self.total_iters - self.last_step + 1)) ** self.power
        lowest = [self.eta_min_ratio * base for base in self.base_values]
        return [
            (group[self.param_name] - least) * left + least
            for group, least in zip(groups, lowest, strict=True)
        ]
