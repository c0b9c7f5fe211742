"""Macro soft F1: the score itself, made differentiable."""

from __future__ import annotations

from typing import Literal

from recycling.backends.losses.core import LOSSES, Config, Head, Loss, LossConfigs


class F1(Loss):
    """1 - macro F1 of a batch, over the classes that are in it."""

    name: Literal["f1"] = "f1"


def classifier(loss: F1, head: Head) -> Config:
    """Mmpretrain has none."""
    return {"type": f"{__name__}.torch_module.SoftF1Loss", "loss_weight": head.loss_weight}


LOSSES.register("f1", F1)(LossConfigs(classifier=classifier, soft_labels=True))
