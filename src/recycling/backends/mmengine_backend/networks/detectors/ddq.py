"""DDQ, as far as mmdet's cannot be loaded once it has learnt."""

from __future__ import annotations

from typing import Any

from mmdet.models.detectors import DDQDETR
from mmdet.registry import MODELS


@MODELS.register_module()
class DDQDETRThatLoads(DDQDETR):  # type: ignore[misc]
    """mmdet's ``DDQDETR`` whose weights have the same names before and after a step.

    While it learns, mmdet's decoder takes layers of the head for its own, so that its weights no
    longer fit a network that has just been built.
    """

    def loss(self, *arguments: Any, **settings: Any) -> Any:
        """The losses of a batch, as mmdet's."""
        losses = super().loss(*arguments, **settings)
        del self.decoder.aux_reg_branches
        return losses
