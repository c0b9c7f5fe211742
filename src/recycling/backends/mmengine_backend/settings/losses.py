"""The loss of the classes; boxes, and what a detector proposes, keep the recipe's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import Loss

OURS = "recycling.backends.mmengine_backend.losses"

IGNORED = 255
"""The label of pixels that do not count; mmseg's own."""


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
    weights = [_class_weights(loss, model, data) for loss in model.loss]
    if model.task == "cls":
        _set_classifier(config.model, model, weights)
    elif model.task == "seg":
        _set_segmenter(config.model, model, weights)
    else:
        _set_detector(config.model, model, weights[0], len(data.classes))


def _error(model: Model, text: str) -> BackendError:
    return BackendError(f"model {model.recipe!r}: loss: {text}")


# Classes -----------------------------------------------------------------------------------------


def _set_classifier(network: Any, model: Model, weights: Sequence[list[float] | None]) -> None:
    assert model.loss is not None
    head = network.get("head") or {}
    if "loss" not in head and "type" not in head:
        raise _error(model, "the network has no head that learns classes; remove it")
    several = _name(head) == "SeveralHeads"
    if several and any(each is not None for each in weights):
        raise _error(
            model,
            "class_weights are of classes, and each of SeveralHeads learns another attribute of "
            "them; remove them",
        )
    scale = _weight_of(head.get("loss"))
    terms = [
        _of_classifier(loss, scale, each) for loss, each in zip(model.loss, weights, strict=True)
    ]
    if len(terms) == 1:
        head["loss"] = terms[0]
    else:
        kind = f"{OURS}.sum_of_losses.SumOfLosses"
        head["loss"] = {"type": kind, "names": _names(model.loss), "losses": terms}
    if several:
        for one in head["heads"]:
            one.pop("loss", None)


def _of_classifier(loss: Loss, scale: float, weights: list[float] | None) -> dict[str, Any]:
    weight = {"loss_weight": scale * loss.weight}
    if loss.name == "cross_entropy":
        if loss.label_smoothing:
            smoothing = {"label_smooth_val": loss.label_smoothing, "mode": "original"}
            return {"type": "LabelSmoothLoss", **smoothing, "class_weight": weights, **weight}
        return {"type": "CrossEntropyLoss", "class_weight": weights, **weight}
    if loss.name == "focal":
        return {**_focal(loss, weights), **weight}
    if loss.name == "asymmetric":
        gammas = {"gamma_pos": loss.gamma_positive, "gamma_neg": loss.gamma_negative}
        return {"type": "AsymmetricLoss", **gammas, "clip": loss.clip, **weight}
    return {"type": f"{OURS}.soft_f1.SoftF1Loss", **weight}


def _focal(loss: Loss, weights: list[float] | None) -> dict[str, Any]:
    return {
        "type": f"{OURS}.focal.FocalLossOfClasses",
        "gamma": loss.gamma,
        "alpha": loss.alpha,
        "class_weight": weights,
    }


def _names(losses: Sequence[Loss]) -> list[str]:
    """A name for each loss; one that comes again is numbered."""
    names: list[str] = []
    for loss in losses:
        n = sum(name.split("-")[0] == loss.name for name in names)
        names.append(f"{loss.name}-{n + 1}" if n else loss.name)
    return names


# Masks -------------------------------------------------------------------------------------------


def _set_segmenter(network: Any, model: Model, weights: Sequence[list[float] | None]) -> None:
    assert model.loss is not None
    parts = [network.get(name) for name in ("decode_head", "auxiliary_head")]
    heads = [head for part in parts for head in _with_loss_decode(part)]
    if not heads:
        name = _name(_last(network.decode_head))
        raise _error(model, f"{name} learns masks with losses of its own; remove it")
    for head in heads:
        scale = _weight_of(head["loss_decode"])
        head["loss_decode"] = [
            _of_segmenter(loss, scale, each) for loss, each in zip(model.loss, weights, strict=True)
        ]


def _with_loss_decode(node: Any) -> Iterator[Any]:
    """The heads of a network that learn from label maps; K-Net's are inside another."""
    if isinstance(node, dict):
        if "loss_decode" in node:
            yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from _with_loss_decode(child)


def _of_segmenter(loss: Loss, scale: float, weights: list[float] | None) -> dict[str, Any]:
    settings = {"class_weight": weights, "loss_weight": scale * loss.weight}
    if loss.name == "cross_entropy":
        if loss.label_smoothing:
            return {**_smoothed(loss), **settings}
        return {"type": "CrossEntropyLoss", "use_sigmoid": False, **settings}
    if loss.name == "focal":
        return {**_focal(loss, weights), **settings}
    if loss.name == "dice":
        return {"type": f"{OURS}.soft_f1.DiceLossOfClasses", **settings}
    return {"type": "LovaszLoss", "reduction": "none", **settings}


def _smoothed(loss: Loss) -> dict[str, Any]:
    kind = f"{OURS}.smoothed_cross_entropy.SmoothedCrossEntropyLoss"
    return {"type": kind, "label_smoothing": loss.label_smoothing}


# Boxes -------------------------------------------------------------------------------------------


def _set_detector(network: Any, model: Model, weights: list[float] | None, n_classes: int) -> None:
    assert model.loss is not None
    if len(model.loss) > 1:
        raise _error(
            model,
            "a detector cannot learn from a sum: cross-entropy's scores may add up to 1, focal "
            "loss's do not; choose one",
        )
    (loss,) = model.loss
    for_proposals = network.get("roi_head") or {}
    heads = for_proposals.get("bbox_head") or network.get("bbox_head")
    if not heads:
        name = _name(network)
        raise _error(model, f"{name} learns classes with a loss of its own; remove it")
    for head in heads if isinstance(heads, (list, tuple)) else [heads]:
        before = head.get("loss_cls")
        if before is None or _name(before) not in ("CrossEntropyLoss", "FocalLoss"):
            own = "a loss of its own" if before is None else f"{_name(before)}, part of its method"
            raise _error(model, f"{_name(head)} learns classes with {own}; remove it")
        if for_proposals:
            head["loss_cls"] = _of_proposals(loss, before, weights, n_classes)
        else:
            head["loss_cls"] = _of_places(loss, before, weights, model)


def _of_proposals(
    loss: Loss, before: Any, weights: list[float] | None, n_classes: int
) -> dict[str, Any]:
    """A softmax over the classes and the background, or, focal, a sigmoid for each class."""
    scale = {"loss_weight": _weight_of(before) * loss.weight}
    if loss.name == "focal":
        focal = {**_focal(loss, weights), "type": f"{OURS}.focal_of_proposals.FocalLossOfProposals"}
        return {**focal, "num_classes": n_classes, **scale}
    # The background is the last class.
    with_background = None if weights is None else [*weights, 1.0]
    kind = {"type": "CrossEntropyLoss"} if not loss.label_smoothing else _smoothed(loss)
    return {**kind, "use_sigmoid": False, "class_weight": with_background, **scale}


def _of_places(
    loss: Loss, before: Any, weights: list[float] | None, model: Model
) -> dict[str, Any]:
    """At each place, or for each anchor, as many sigmoids as classes."""
    if loss.label_smoothing:
        raise _error(
            model,
            "label_smoothing is of scores that add up to 1, and the network has a sigmoid for each "
            "class; remove it",
        )
    settings = {
        "use_sigmoid": True if loss.name == "focal" else before.get("use_sigmoid", False),
        "reduction": before.get("reduction", "mean"),
        "loss_weight": _weight_of(before) * loss.weight,
    }
    if loss.name == "focal" and weights is None and loss.gamma >= 1:
        # On a GPU the library's is one kernel.
        return {"type": "FocalLoss", "gamma": loss.gamma, "alpha": loss.alpha, **settings}
    if loss.name == "focal":
        return {**_focal(loss, weights), **settings}
    if not settings["use_sigmoid"] and weights is not None:
        weights = [*weights, 1.0]
    return {"type": "CrossEntropyLoss", "class_weight": weights, **settings}


# What the config says ----------------------------------------------------------------------------


def _name(part: Any) -> str:
    return str(part.get("type", "the network")).rpartition(".")[2]


def _last(heads: Any) -> Any:
    return heads[-1] if isinstance(heads, (list, tuple)) else heads


def _weight_of(loss: Any) -> float:
    """The weight of a recipe's loss; of several the greatest."""
    losses = loss if isinstance(loss, (list, tuple)) else [loss or {}]
    return max(float(one.get("loss_weight", 1.0)) for one in losses)


# Weights of the classes --------------------------------------------------------------------------


def _class_weights(loss: Loss, model: Model, data: TrainingSet) -> list[float] | None:
    """The weight of each class, in the order of `data.classes`; None where all are alike."""
    given = loss.class_weights
    if given is None:
        return None
    if given == "balanced":
        return _balanced(model, data)
    unknown = [name for name in given if name not in data.classes]
    missing = [name for name in data.classes if name not in given]
    if unknown:
        known = ", ".join(data.classes)
        raise _error(model, f"class_weights: no class {unknown[0]!r}; there are {known}")
    if missing:
        raise _error(model, f"class_weights: no weight for {missing[0]!r}; give each class one")
    bad = [name for name, weight in given.items() if not 0 <= weight < float("inf")]
    if bad:
        raise _error(model, f"class_weights: {given[bad[0]]} of {bad[0]!r}; give 0 or more")
    return [float(given[name]) for name in data.classes]


def _balanced(model: Model, data: TrainingSet) -> list[float]:
    counts = _counts(model.task, data.file, data.sha256, len(data.classes))
    if 0 in counts:
        what = "pixel" if model.task == "seg" else "annotation"
        raise _error(
            model,
            f"class_weights is 'balanced', but no {what} to learn from is of "
            f"{data.classes[counts.index(0)]!r}; give weights by name, or leave the category out",
        )
    inverse = [1 / count for count in counts]
    mean = sum(inverse) / len(inverse)
    return [one / mean for one in inverse]


@lru_cache(maxsize=8)  # a training resolves its config more than once, and maps are many pixels
def _counts(task: str, file: Path, sha256: str, n_classes: int) -> tuple[int, ...]:
    """How many annotations, or pixels, of each class there are to learn from."""
    samples = json.loads(file.read_text())["data_list"]
    total = np.zeros(n_classes, np.int64)
    for sample in samples:
        labels = _labels(task, sample)
        total += np.bincount(labels, minlength=n_classes)[:n_classes]
    return tuple(total.tolist())


def _labels(task: str, sample: dict[str, Any]) -> Any:
    if task == "cls":
        return [sample["gt_label"]]
    if task == "det":
        instances = sample["instances"]
        labels = [one["bbox_label"] for one in instances if not one["ignore_flag"]]
        return np.array(labels, np.int64)
    import cv2

    path = sample["seg_map_path"]
    label_map = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if label_map is None:
        raise BackendError(f"{path}: not a label map that can be read; train the model again")
    return label_map[label_map != IGNORED]
