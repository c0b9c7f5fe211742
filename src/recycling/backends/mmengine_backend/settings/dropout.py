"""The share of features that the last layer does not see while learning."""

from __future__ import annotations

from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.config_tree import kind_of, mappings_in
from recycling.backends.shared.model import Model

LINEAR_HEAD = (
    "recycling.backends.mmengine_backend.networks.classifiers.linear_head.LinearHeadWithDropout"
)


def set_dropout(config: Any, model: Model) -> None:
    """Put `dropout` into the heads of a classifier, or of a segmenter (Srivastava et al. 2014).

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.

    Raises:
        BackendError: No head of the recipe has dropout; one line.
    """
    if model.dropout is None:
        return
    if model.task == "cls":
        _set_classifier(config.model.get("head"), model)
        return
    names = ("decode_head", "auxiliary_head")
    nodes = [node for name in names for node in mappings_in(config.model.get(name))]
    heads = [node for node in nodes if "dropout_ratio" in node]
    if not heads:
        last = config.model.decode_head
        raise _refused(model, last[-1] if isinstance(last, (list, tuple)) else last)
    for head in heads:
        head["dropout_ratio"] = model.dropout


def _set_classifier(head: Any, model: Model) -> None:
    kind = kind_of(head or {})
    if kind == "LinearClsHead":
        head["type"] = LINEAR_HEAD
    elif kind not in ("MultiAttributeHead", "StackedLinearClsHead"):
        raise _refused(model, head or {})
    head["dropout_rate"] = model.dropout


def _refused(model: Model, head: Any) -> BackendError:
    return BackendError(
        f"model {model.recipe!r}: cannot honour 'dropout' for {kind_of(head)}, which has no such "
        "layer; remove it"
    )
