"""Cross-entropy, with smoothed labels where asked for (Szegedy et al., 2016, arXiv 1512.00567)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from recycling.backends.losses.core import (
    LOSSES,
    ClassWeightedLoss,
    Config,
    FastRCNNLoss,
    Head,
    LossConfigs,
    LossError,
)

SMOOTHED = f"{__name__}.torch_module.SmoothedCrossEntropyLoss"
"""mmdet and mmseg smooth no labels."""


class CrossEntropy(ClassWeightedLoss):
    """The negative logarithm of the probability that the right class gets."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="the share of a label that all classes get alike"
    )


def classifier(loss: CrossEntropy, head: Head) -> Config:
    """Mmpretrain's own."""
    if loss.label_smoothing:
        smoothing = {"label_smooth_val": loss.label_smoothing, "mode": "original"}
        return {"type": "LabelSmoothLoss", **smoothing, **head.weights}
    return {"type": "CrossEntropyLoss", **head.weights}


def segmenter(loss: CrossEntropy, head: Head) -> Config:
    """Mmseg's own, but for smoothed labels."""
    if loss.label_smoothing:
        return {"type": SMOOTHED, "label_smoothing": loss.label_smoothing, **head.weights}
    return {"type": "CrossEntropyLoss", "use_sigmoid": False, **head.weights}


def proposals(loss: CrossEntropy, head: Head) -> Config:
    """Mmdet's own, but for smoothed labels."""
    config = {**segmenter(loss, head), "use_sigmoid": False}
    return {**config, "class_weight": head.weights_with_background}


def dense(loss: CrossEntropy, head: Head) -> Config:
    """Mmdet's own: a sigmoid for each class or a softmax, as the recipe's head has it."""
    if loss.label_smoothing:
        raise LossError(
            "label_smoothing is of scores that add up to 1, and the network has a sigmoid for each "
            "class; remove it"
        )
    return {
        "type": "CrossEntropyLoss",
        "class_weight": head.class_weights if head.use_sigmoid else head.weights_with_background,
        "use_sigmoid": head.use_sigmoid,
        "reduction": head.reduction,
        "loss_weight": head.loss_weight,
    }


def retinanet(loss: CrossEntropy) -> Config:
    """Focal loss without the focus and the balance is cross-entropy."""
    if loss.label_smoothing:
        raise LossError("detectron2's RetinaNet cannot honour label_smoothing; remove it")
    return {"FOCAL_LOSS_GAMMA": 0.0, "FOCAL_LOSS_ALPHA": -1.0}


def fast_rcnn(loss: CrossEntropy, scores: Any, classes: Any, weights: Any) -> Any:
    """Not torch's weighted mean: a batch of a rare class alone should weigh more."""
    from torch.nn import functional

    return functional.cross_entropy(
        scores,
        classes,
        weight=functional.pad(weights, (0, 1), value=1.0),
        label_smoothing=loss.label_smoothing,
        reduction="none",
    ).mean()


LOSSES.register("cross_entropy", CrossEntropy)(
    LossConfigs(
        classifier=classifier,
        segmenter=segmenter,
        proposals=proposals,
        dense=dense,
        retinanet=retinanet,
        fast_rcnn=FastRCNNLoss(use_sigmoid=False, mean=fast_rcnn),
        soft_labels=True,
    )
)
