"""Which part of a training the pseudo-labels have."""

from __future__ import annotations

import math

from recycling.backends.core import BackendError
from recycling.backends.shared.model import Model


def first_labeled_epoch(model: Model) -> int | None:
    """The epoch, from 0, from which only labelled images are learnt from; None: none is.

    The first epoch always has the pseudo-labels.

    Args:
        model: The settings; `pseudo_until` says it.
    """
    # A share such as 0.7 of 10 epochs is a little more than 7 of them.
    epochs = math.ceil(round(model.pseudo_until * model.epochs, 6))
    return epochs if epochs < model.epochs else None


def no_labeled(model: Model) -> BackendError:
    """The error of a training whose last part would have nothing to learn from."""
    return BackendError(
        f"model {model.recipe!r}: pseudo_until is {model.pseudo_until:g}, but there is no labelled "
        "image for the epochs after it; set it to 1"
    )
