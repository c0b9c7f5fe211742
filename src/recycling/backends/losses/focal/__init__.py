"""Focal loss (Lin et al., 2017, arXiv 1708.02002)."""

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

WEIGHTED = f"{__name__}.torch_module.FocalLossOfClasses"
OF_PROPOSALS = f"{__name__}.proposals.FocalLossOfProposals"


class Focal(ClassWeightedLoss):
    """A sigmoid's cross-entropy for each class, in which what is learnt already counts little."""

    name: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=0, description="how little what is learnt already counts")
    alpha: float = Field(
        default=0.25, gt=0, lt=1, description="the share of what is there; what is not has the rest"
    )


def _focus(loss: Focal) -> Config:
    return {"gamma": loss.gamma, "alpha": loss.alpha}


def classifier(loss: Focal, head: Head) -> Config:
    """Ours, for the weights of the classes."""
    return {"type": WEIGHTED, **_focus(loss), **head.weights}


def proposals(loss: Focal, head: Head) -> Config:
    """Ours: mmdet's box heads then have a sigmoid for each class too."""
    settings = {**_focus(loss), **head.weights}
    return {"type": OF_PROPOSALS, "num_classes": head.n_classes, **settings}


def dense(loss: Focal, head: Head) -> Config:
    """Mmdet's own where it can: on a GPU it is one kernel."""
    settings = {**_focus(loss), "use_sigmoid": True, "reduction": head.reduction}
    if head.class_weights is None and loss.gamma >= 1:
        return {"type": "FocalLoss", **settings, "loss_weight": head.loss_weight}
    return {"type": WEIGHTED, **settings, **head.weights}


def retinanet(loss: Focal) -> Config:
    """RetinaNet is the detector of the paper."""
    if 0 < loss.gamma < 1:
        raise LossError(
            f"detectron2's RetinaNet cannot honour gamma {loss.gamma:g}: the gradient of a score "
            "that is certain would be no number; give 0, 1 or more"
        )
    return {"FOCAL_LOSS_GAMMA": loss.gamma, "FOCAL_LOSS_ALPHA": loss.alpha}


def fast_rcnn(loss: Focal, scores: Any, classes: Any, weights: Any) -> Any:
    """A sigmoid for each class; the background is where all are low."""
    from torch.nn import functional

    from recycling.backends.losses.focal.torch_module import focal_loss

    n_classes = len(weights)
    targets = functional.one_hot(classes, n_classes + 1)[:, :n_classes].to(scores.dtype)
    each = focal_loss(scores[:, :n_classes], targets, loss.gamma, loss.alpha)
    return (each * weights).sum() / len(scores)


LOSSES.register("focal", Focal)(
    LossConfigs(
        classifier=classifier,
        segmenter=classifier,
        proposals=proposals,
        dense=dense,
        retinanet=retinanet,
        fast_rcnn=FastRCNNLoss(use_sigmoid=True, mean=fast_rcnn),
        soft_labels=True,
    )
)
