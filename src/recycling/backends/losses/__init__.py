"""Losses of the classes, a folder each: its settings, and how each library's config says it.

To add one, add its folder here and import it below, or a module of your own that is imported before
`models.yml` is read; see `recycling.backends.losses.core`.
"""

from recycling.backends.losses import asymmetric, cross_entropy, dice, f1, focal, lovasz
from recycling.backends.losses.core import (
    LOSSES,
    ClassWeightedLoss,
    FastRCNNLoss,
    Head,
    Loss,
    LossConfigs,
    LossError,
    losses_of,
    read_losses,
)

__all__ = [
    "LOSSES",
    "ClassWeightedLoss",
    "FastRCNNLoss",
    "Head",
    "Loss",
    "LossConfigs",
    "LossError",
    "asymmetric",
    "cross_entropy",
    "dice",
    "f1",
    "focal",
    "losses_of",
    "lovasz",
    "read_losses",
]
