"""Asymmetric loss (Ridnik et al., 2021, arXiv 2009.14119)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recycling.backends.losses.core import LOSSES, Config, Head, Loss, LossConfigs


class Asymmetric(Loss):
    """Focal loss whose focus differs for the class that is there and for those that are not."""

    name: Literal["asymmetric"] = "asymmetric"
    gamma_positive: float = Field(default=0.0, ge=0, description="focus where the class is there")
    gamma_negative: float = Field(default=4.0, ge=0, description="focus where it is not")
    clip: float = Field(
        default=0.05, ge=0, lt=1, description="scores of absent classes below it count as 0"
    )


def classifier(loss: Asymmetric, head: Head) -> Config:
    """Mmpretrain's own."""
    return {
        "type": "AsymmetricLoss",
        "gamma_pos": loss.gamma_positive,
        "gamma_neg": loss.gamma_negative,
        "clip": loss.clip,
        "loss_weight": head.loss_weight,
    }


LOSSES.register("asymmetric", Asymmetric)(LossConfigs(classifier=classifier))
