"""Lovasz-softmax loss (Berman et al., 2018, arXiv 1705.08790)."""

from __future__ import annotations

from typing import Literal

from recycling.backends.losses.core import LOSSES, ClassWeightedLoss, Config, Head, LossConfigs


class Lovasz(ClassWeightedLoss):
    """The mean IoU of a batch of masks, extended to probabilities."""

    name: Literal["lovasz"] = "lovasz"


def segmenter(loss: Lovasz, head: Head) -> Config:
    """Mmseg's own has no value where all pixels of a batch are ignored."""
    own = f"{__name__}.torch_module.LovaszLossOfKnownPixels"
    return {"type": own, "reduction": "none", **head.weights}


LOSSES.register("lovasz", Lovasz)(LossConfigs(segmenter=segmenter))
