"""The loss of the classes; that of the boxes is the recipe's own."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from recycling.backends.core import BackendError, TrainingData
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import Loss


def set_loss(config: Any, model: Model) -> None:
    """Put `loss` into a config, as far as it knows the words.

    A network with proposals has a softmax over the classes and the background with cross-entropy,
    and a sigmoid for each class with focal loss, as RetinaNet always has.

    Args:
        config: The ``CfgNode``; changed in place.
        model: The settings.

    Raises:
        BackendError: The network cannot learn with it.
    """
    if model.loss is None:
        return
    if len(model.loss) > 1:
        raise BackendError(
            f"model {model.recipe!r}: detectron2 cannot honour a sum of losses: cross-entropy's "
            "scores add up to 1, focal loss's do not; choose one"
        )
    (loss,) = model.loss
    if config.MODEL.META_ARCHITECTURE == "RetinaNet":
        for name, default in (("class_weights", None), ("label_smoothing", 0.0)):
            if getattr(loss, name) != default:
                raise BackendError(
                    f"model {model.recipe!r}: detectron2's RetinaNet cannot honour loss.{name}; "
                    "remove it"
                )
        # Without the focus and the balance, focal loss is cross-entropy.
        focal = loss.name == "focal"
        config.MODEL.RETINANET.FOCAL_LOSS_GAMMA = loss.gamma if focal else 0.0
        config.MODEL.RETINANET.FOCAL_LOSS_ALPHA = loss.alpha if focal else -1.0
    else:
        config.MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE = loss.name == "focal"
        config.MODEL.ROI_BOX_HEAD.USE_FED_LOSS = False


def use_loss(network: Any, model: Model, data: TrainingData) -> None:
    """Let a network learn with `loss`, where its config has no words for it.

    Args:
        network: What was built from the config; changed in place.
        model: The settings.
        data: Says how frequent a class is.

    Raises:
        BackendError: A weight is of no category, missing or below 0, or a category has no box.
    """
    if model.loss is None:
        return
    from detectron2.modeling.meta_arch.retinanet import RetinaNet
    from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers

    (loss,) = model.loss
    weights = class_weights(loss, data, f"model {model.recipe!r}")
    # An attribute of the instance goes before the class's method, and the state dict stays.
    if isinstance(network, RetinaNet):
        network.losses = _scaled(network.losses, loss.weight)
    for layer in network.modules():
        if isinstance(layer, FastRCNNOutputLayers):
            layer.losses = _of_proposals(layer.losses, loss, weights)


def class_weights(loss: Loss, data: TrainingData, who: str) -> list[float]:
    """The weight of each class, in the order of class indices.

    Args:
        loss: The settings.
        data: Says how frequent a class is.
        who: Begins a message.

    Raises:
        BackendError: A weight is of no category, missing or below 0, or a category has no box.
    """
    names = [str(name) for name in data.categories["name"]]
    if loss.class_weights is None:
        return [1.0] * len(names)
    if loss.class_weights == "balanced":
        counts = [0] * len(names)
        class_of = {int(key): at for at, key in enumerate(data.categories["category_id"])}
        for part in data.train:
            table = part.annotations.annotations
            for category_id in table.loc[~table["iscrowd"].astype(bool), "category_id"]:
                counts[class_of[int(category_id)]] += 1
        if 0 in counts:
            raise BackendError(
                f"{who}: loss.class_weights is 'balanced', but no training box is of "
                f"{names[counts.index(0)]!r}; give weights by name, or leave the category out"
            )
        mean = sum(1 / n for n in counts) / len(counts)
        return [1 / n / mean for n in counts]
    unknown = sorted(set(loss.class_weights) - set(names))
    if unknown:
        raise BackendError(
            f"{who}: loss.class_weights: no category {unknown[0]!r}; there are {', '.join(names)}"
        )
    missing = [name for name in names if name not in loss.class_weights]
    if missing:
        raise BackendError(
            f"{who}: loss.class_weights: no weight for {missing[0]!r}; give each category one"
        )
    bad = [name for name in names if not 0 <= loss.class_weights[name] < float("inf")]
    if bad:
        raise BackendError(
            f"{who}: loss.class_weights: {loss.class_weights[bad[0]]} of {bad[0]!r}; give 0 or more"
        )
    return [float(loss.class_weights[name]) for name in names]


def _scaled(losses: Callable[..., Any], weight: float) -> Callable[..., Any]:
    def scaled(*arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = losses(*arguments)
        found["loss_cls"] = found["loss_cls"] * weight
        return found

    return scaled


def _of_proposals(
    losses: Callable[..., Any], loss: Loss, weights: list[float]
) -> Callable[..., Any]:
    """The library's losses of proposals, with another one for the classes."""

    def of_proposals(predictions: Any, proposals: Any) -> dict[str, Any]:
        import torch

        found: dict[str, Any] = losses(predictions, proposals)
        scores = predictions[0]
        if len(scores):
            classes = torch.cat([one.gt_classes for one in proposals])
            each = torch.tensor(weights, dtype=scores.dtype, device=scores.device)
            found["loss_cls"] = loss.weight * _classes_loss(loss, scores, classes, each)
        return found

    return of_proposals


def _classes_loss(loss: Loss, scores: Any, classes: Any, weights: Any) -> Any:
    """The mean over proposals.

    Args:
        loss: The settings.
        scores: (N, K + 1), the background last.
        classes: (N,), K for the background.
        weights: (K,); the background's is 1.
    """
    from torch.nn import functional

    if loss.name == "cross_entropy":
        # Not torch's weighted mean: a batch of a rare class alone should weigh more.
        return functional.cross_entropy(
            scores,
            classes,
            weight=functional.pad(weights, (0, 1), value=1.0),
            label_smoothing=loss.label_smoothing,
            reduction="none",
        ).mean()
    focal_loss = import_module("fvcore.nn").sigmoid_focal_loss
    n_classes = len(weights)
    targets = functional.one_hot(classes, n_classes + 1)[:, :n_classes].to(scores.dtype)
    each = focal_loss(
        scores[:, :n_classes], targets, alpha=loss.alpha, gamma=loss.gamma, reduction="none"
    )
    return (each * weights).sum() / len(scores)
