"""The loss of the classes; boxes, and what a detector proposes, keep the recipe's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recycling.backends.core import BackendError
from recycling.backends.losses.class_weights import class_weights
from recycling.backends.losses.core import Head, Loss, LossError, form_of
from recycling.backends.mmengine_backend.config_tree import kind_of, mappings_in
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.albumentations_list import IGNORED
from recycling.backends.shared.model import Model

SUM = "recycling.backends.mmengine_backend.networks.classifiers.sum_of_losses.SumOfLosses"


class Term(NamedTuple):
    """One loss of a sum, and the weights of its classes."""

    loss: Loss
    class_weights: list[float] | None


def set_loss(config: Any, model: Model, data: TrainingSet) -> None:
    """Put `loss` into each head of a network that learns classes.

    A head's weight in the recipe, such as 0.4 of an auxiliary one, still multiplies all that it
    learns from.

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.
        data: Says how frequent a class is.

    Raises:
        BackendError: A head cannot learn with it, or a weight is of no class, or missing.
    """
    if model.loss is None:
        return
    setter = {"cls": _set_classifier, "det": _set_detector, "seg": _set_segmenter}[model.task]
    counted = "pixel" if model.task == "seg" else "annotation"
    try:
        terms = [
            Term(
                loss, class_weights(loss, data.classes, lambda: _counts(model.task, data), counted)
            )
            for loss in model.loss
        ]
        setter(config.model, terms, len(data.classes))
    except LossError as error:
        raise BackendError(f"model {model.recipe!r}: loss: {error}") from error


def _config(term: Term, kind: str, scale: float, n_classes: int, **head: Any) -> dict[str, Any]:
    """The config of a loss for a kind of head, which the recipe weighs with `scale`."""
    loss, weights = term
    form = form_of(loss, kind)
    config: dict[str, Any] = form(loss, Head(n_classes, scale * loss.weight, weights, **head))
    return config


# Classes -----------------------------------------------------------------------------------------


def _set_classifier(network: Any, terms: Sequence[Term], n_classes: int) -> None:
    head = network.get("head") or {}
    if "loss" not in head and "type" not in head:
        raise LossError("the network has no head that learns classes; remove it")
    several = kind_of(head) == "MultiAttributeHead"
    if several and any(term.class_weights is not None for term in terms):
        raise LossError(
            "class_weights are of classes, and each layer of MultiAttributeHead learns another "
            "attribute of them; remove them"
        )
    scale = _weight_of(head.get("loss"))
    losses = [_config(term, "classifier", scale, n_classes) for term in terms]
    if len(losses) == 1:
        head["loss"] = losses[0]
    else:
        head["loss"] = {"type": SUM, "names": _names(terms), "losses": losses}
    if several:
        for each in head["heads"]:
            each.pop("loss", None)


def _names(terms: Sequence[Term]) -> list[str]:
    """A name for each loss; one that comes again is numbered."""
    names: list[str] = []
    for loss, _ in terms:
        n = sum(name.split("-")[0] == loss.name for name in names)
        names.append(f"{loss.name}-{n + 1}" if n else loss.name)
    return names


# Masks -------------------------------------------------------------------------------------------


def _set_segmenter(network: Any, terms: Sequence[Term], n_classes: int) -> None:
    # K-Net's heads that learn from label maps are inside another.
    heads = [
        node
        for name in ("decode_head", "auxiliary_head")
        for node in mappings_in(network.get(name))
        if "loss_decode" in node
    ]
    if not heads:
        name = kind_of(_last(network.decode_head))
        raise LossError(f"{name} learns masks with losses of its own; remove it")
    for head in heads:
        # The recipe chose pixels (OHEM) by its own loss, which this one replaces.
        head.pop("sampler", None)
        scale = _weight_of(head["loss_decode"])
        head["loss_decode"] = [_config(term, "segmenter", scale, n_classes) for term in terms]


# Boxes -------------------------------------------------------------------------------------------


def _set_detector(network: Any, terms: Sequence[Term], n_classes: int) -> None:
    if len(terms) > 1:
        raise LossError(
            "a detector cannot learn from a sum: cross-entropy's scores may add up to 1, focal "
            "loss's do not; choose one"
        )
    (term,) = terms
    roi_head = network.get("roi_head") or {}
    heads = roi_head.get("bbox_head") or network.get("bbox_head")
    if not heads:
        raise LossError(f"{kind_of(network)} learns classes with a loss of its own; remove it")
    for head in heads if isinstance(heads, (list, tuple)) else [heads]:
        before = head.get("loss_cls")
        kind = kind_of(before or {})
        if kind not in ("CrossEntropyLoss", "FocalLoss"):
            own = "a loss of its own" if before is None else f"{kind}, part of its method"
            raise LossError(f"{kind_of(head)} learns classes with {own}; remove it")
        head["loss_cls"] = _config(
            term,
            "proposals" if roi_head else "dense",
            _weight_of(before),
            n_classes,
            use_sigmoid=before.get("use_sigmoid", False),
            reduction=before.get("reduction", "mean"),
        )


# What the config says ----------------------------------------------------------------------------


def _last(heads: Any) -> Any:
    return heads[-1] if isinstance(heads, (list, tuple)) else heads


def _weight_of(loss: Any) -> float:
    """The weight of a recipe's loss; of several the greatest."""
    losses = loss if isinstance(loss, (list, tuple)) else [loss or {}]
    return max(float(each.get("loss_weight", 1.0)) for each in losses)


# How frequent a class is -------------------------------------------------------------------------


def _counts(task: str, data: TrainingSet) -> list[int]:
    """How many annotations, or pixels, of each class there are to learn from."""
    n_classes = len(data.classes)
    total = np.zeros(n_classes, np.int64)
    for sample in json.loads(data.file.read_text())["data_list"]:
        total += np.bincount(_labels(task, sample), minlength=n_classes)[:n_classes]
    return [int(n) for n in total]


def _labels(task: str, sample: dict[str, Any]) -> Any:
    if task == "cls":
        return [sample["gt_label"]]
    if task == "det":
        instances = sample["instances"]
        labels = [each["bbox_label"] for each in instances if not each["ignore_flag"]]
        return np.array(labels, np.int64)
    import cv2

    path = sample["seg_map_path"]
    label_map = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if label_map is None:
        raise BackendError(f"{path}: not a label map that can be read; train the model again")
    return label_map[label_map != IGNORED]
