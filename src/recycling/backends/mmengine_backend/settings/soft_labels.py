"""Labels that are a probability of each class, for the classifiers that can learn from them."""

from __future__ import annotations

from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.losses.core import LOSSES
from recycling.backends.mmengine_backend.config_tree import kind_of
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.model import Model

OF_RECIPES = ("CrossEntropyLoss", "LabelSmoothLoss")
"""Losses of mmpretrain that take them."""


def set_soft_labels(config: Any, model: Model, data: TrainingSet) -> None:
    """Let a classifier learn from the probabilities that annotations have.

    Args:
        config: The resolved ``mmengine.Config``, with its loss; changed in place.
        model: The settings.
        data: What is trained on.

    Raises:
        BackendError: The loss, or the head, takes one class a crop; one line.
    """
    if not data.soft_labels:
        return
    takers = [name for name, entry in LOSSES.items() if entry.thing.soft_labels]
    head: Any = config.model.get("head") or {}
    advice = f"choose {' or '.join(takers)}, or leave the probabilities out of the pseudo-labels"
    if str(head.get("type", "")).endswith("MultiAttributeHead"):
        raise _refused(model, "MultiAttributeHead", "leave the probabilities out")
    if model.loss is None:
        loss = kind_of(head.get("loss") or {})
        if loss not in OF_RECIPES or head["loss"].get("use_sigmoid"):
            raise _refused(model, f"the recipe's {loss}", advice)
    for loss_of_user in model.loss or ():
        if loss_of_user.name not in takers:
            raise _refused(model, f"loss {loss_of_user.name!r}", advice)
    # A share of two classes is neither right nor wrong.
    if head.get("cal_acc"):
        head.cal_acc = False


def _refused(model: Model, what: str, advice: str) -> BackendError:
    return BackendError(
        f"model {model.recipe!r}: annotations have probabilities of the classes (soft labels), and "
        f"{what} takes one class a crop; {advice}"
    )
