"""The loss of the classes; that of the boxes is the recipe's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from recycling.backends.core import BackendError, TrainingData
from recycling.backends.losses.class_weights import class_weights as by_name_or_balanced
from recycling.backends.losses.core import FastRCNNLoss, Loss, LossError, form_of
from recycling.backends.shared.model import Model


def set_loss(config: Any, model: Model) -> None:
    """Put `loss` into a config, as far as it has keys for it.

    A network with proposals has a softmax over the classes and the background, or a sigmoid for
    each class, as the loss asks; RetinaNet always has a sigmoid for each.

    Args:
        config: The ``CfgNode``; changed in place.
        model: The settings.

    Raises:
        BackendError: The network cannot learn with it.
    """
    if model.loss is None:
        return
    with _named(model):
        if len(model.loss) > 1:
            raise LossError(
                "detectron2 cannot honour a sum of losses: cross-entropy's scores add up to 1, "
                "focal loss's do not; choose one"
            )
        (loss,) = model.loss
        if config.MODEL.META_ARCHITECTURE == "RetinaNet":
            if getattr(loss, "class_weights", None) is not None:
                raise LossError("detectron2's RetinaNet cannot honour class_weights; remove it")
            for key, value in form_of(loss, "retinanet")(loss).items():
                config.MODEL.RETINANET[key] = value
        else:
            config.MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE = form_of(loss, "fast_rcnn").use_sigmoid
            config.MODEL.ROI_BOX_HEAD.USE_FED_LOSS = False


def class_weights(model: Model, data: TrainingData) -> list[float]:
    """The weight of each class in the loss, in the order of class indices; 1 where none is given.

    Args:
        model: The settings.
        data: Says how frequent a class is.

    Raises:
        BackendError: A weight is of no category, missing or below 0, or a category has no box.
    """
    equal = [1.0] * len(data.class_names)
    if model.loss is None:
        return equal
    (loss,) = model.loss
    with _named(model):
        return by_name_or_balanced(loss, data.class_names, lambda: _counts(data)) or equal


def use_loss(network: Any, model: Model, weights: Sequence[float]) -> None:
    """Let a network learn with `loss`, where its config has no keys for it.

    Args:
        network: What was built from the config; changed in place.
        model: The settings.
        weights: Of the classes; see `class_weights`.
    """
    if model.loss is None:
        return
    from detectron2.modeling.meta_arch.retinanet import RetinaNet
    from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers

    (loss,) = model.loss
    # An attribute of the instance goes before the class's method, and the state dict stays.
    if isinstance(network, RetinaNet):
        network.losses = _scaled(network.losses, loss.weight)
    for layer in network.modules():
        if isinstance(layer, FastRCNNOutputLayers):
            layer.losses = _of_proposals(layer.losses, loss, weights)


@contextmanager
def _named(model: Model) -> Iterator[None]:
    """Say which model it is that cannot learn."""
    try:
        yield
    except LossError as error:
        raise BackendError(f"model {model.recipe!r}: loss: {error}") from error


def _counts(data: TrainingData) -> list[int]:
    """How many boxes of each class there are to learn from."""
    counts = [0] * len(data.class_of)
    for labeled in data.train:
        table = labeled.annotations.annotations
        for category_id in table.loc[~table["iscrowd"].astype(bool), "category_id"]:
            counts[data.class_of[category_id]] += 1
    return counts


def _scaled(losses: Callable[..., Any], weight: float) -> Callable[..., Any]:
    def scaled(*arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = losses(*arguments)
        found["loss_cls"] = found["loss_cls"] * weight
        return found

    return scaled


def _of_proposals(
    losses: Callable[..., Any], loss: Loss, weights: Sequence[float]
) -> Callable[..., Any]:
    """The library's losses of proposals, with another one for the classes."""
    form: FastRCNNLoss = form_of(loss, "fast_rcnn")

    def of_proposals(predictions: Any, proposals: Any) -> dict[str, Any]:
        import torch

        found: dict[str, Any] = losses(predictions, proposals)
        scores = predictions[0]
        if len(scores):
            classes = torch.cat([instances.gt_classes for instances in proposals])
            each = torch.tensor(weights, dtype=scores.dtype, device=scores.device)
            found["loss_cls"] = loss.weight * form.mean(loss, scores, classes, each)
        return found

    return of_proposals
