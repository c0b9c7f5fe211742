"""Dice loss (Milletari et al., 2016, arXiv 1606.04797; class by class: Sudre et al., 2017)."""

from __future__ import annotations

from typing import Literal

from recycling.backends.losses.core import LOSSES, ClassWeightedLoss, Config, Head, LossConfigs


class Dice(ClassWeightedLoss):
    """1 - Dice of a batch of masks, averaged over the classes that are in it."""

    name: Literal["dice"] = "dice"


def segmenter(loss: Dice, head: Head) -> Config:
    """Mmseg's own makes one class of all, and counts ignored pixels."""
    return {"type": f"{__name__}.torch_module.DiceLossOfClasses", **head.weights}


LOSSES.register("dice", Dice)(LossConfigs(segmenter=segmenter))
