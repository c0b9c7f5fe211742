"""A loss of a user's own: its settings, its module, and the line that registers it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recycling.backends.losses import LOSSES, Head, Loss, LossConfigs


class Poly(Loss):
    """Cross-entropy whose first term weighs more (Leng et al., 2022, arXiv 2204.12511)."""

    name: Literal["poly_1"] = "poly_1"
    epsilon: float = Field(default=1.0, ge=-1)


def classifier(loss: Poly, head: Head) -> dict[str, object]:
    """The config of a classifier's head."""
    kind = "backends.poly_loss_module.PolyLoss"
    return {"type": kind, "epsilon": loss.epsilon, "loss_weight": head.loss_weight}


LOSSES.register("poly_1", Poly)(LossConfigs(classifier=classifier))
