"""What a loss of the classes is: its settings, and how each library's config says it.

A loss is one folder: ``__init__.py`` holds its settings and, for each kind of head that can learn
with it, a small function that gives the head's config. Nothing there needs torch. Modules that the
libraries lack lie beside it; a config names them by their whole path, so that they are imported
when a training runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from recycling.backends.shared.settings import Task
from recycling.registry import PickedSettings, Registry

Config = dict[str, Any]


class LossError(ValueError):
    """A head cannot learn with a loss: what is wrong, and what to do."""


@dataclass(frozen=True)
class Head:
    """What a head that learns classes gives its loss.

    Attributes:
        n_classes: How many classes there are, without a detector's background.
        loss_weight: What the loss is multiplied with: the head's weight in the recipe times that
            of the loss.
        class_weights: How much each class counts, in order; None where all count alike.
        use_sigmoid: Whether the recipe's head has a sigmoid for each class, and no background.
        reduction: How the recipe's head reduces its loss.
    """

    n_classes: int
    loss_weight: float
    class_weights: list[float] | None = None
    use_sigmoid: bool = False
    reduction: str = "mean"

    @property
    def weights(self) -> Config:
        """Both kinds of weights, as OpenMMLab's losses call them."""
        return {"class_weight": self.class_weights, "loss_weight": self.loss_weight}

    @property
    def weights_with_background(self) -> list[float] | None:
        """The weights of the classes and of the background, which is a detector's last class."""
        return None if self.class_weights is None else [*self.class_weights, 1.0]


@dataclass(frozen=True)
class FastRCNNLoss:
    """How detectron2's box heads behind proposals learn with a loss.

    Attributes:
        use_sigmoid: Whether they have a sigmoid for each class, not a softmax with the background.
        mean: Takes the loss's settings, scores (N, classes + 1), the background last, classes (N,)
            and the weights of the classes (classes,); gives the mean over the N proposals.
    """

    use_sigmoid: bool
    mean: Callable[[Any, Any, Any, Any], Any]


@dataclass(frozen=True)
class LossConfigs:
    """How the libraries' configs say a loss; None for the heads that cannot learn with it.

    Each function takes the loss's settings. Those of OpenMMLab also take the `Head`, and give the
    config of its loss.

    Attributes:
        classifier: mmpretrain's heads.
        segmenter: mmseg's heads, which sum up a list of losses.
        proposals: mmdet's box heads behind proposals: a softmax over the classes and the
            background.
        dense: mmdet's heads that score the classes at each cell, or for each anchor.
        retinanet: detectron2's RetinaNet: gives keys of ``MODEL.RETINANET``.
        fast_rcnn: detectron2's box heads behind proposals.
        soft_labels: Whether a classifier's label may be a probability of each class.
    """

    classifier: Callable[[Any, Head], Config] | None = None
    segmenter: Callable[[Any, Head], Config] | None = None
    proposals: Callable[[Any, Head], Config] | None = None
    dense: Callable[[Any, Head], Config] | None = None
    retinanet: Callable[[Any], Config] | None = None
    fast_rcnn: FastRCNNLoss | None = None
    soft_labels: bool = False

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that have a head for it."""
        of_boxes = (self.proposals, self.dense, self.retinanet, self.fast_rcnn)
        fits: dict[Task, bool] = {
            "cls": self.classifier is not None,
            "det": any(each is not None for each in of_boxes),
            "seg": self.segmenter is not None,
        }
        return tuple(task for task, it_does in fits.items() if it_does)


LOSSES: Registry[LossConfigs] = Registry("loss")


class Loss(PickedSettings, registry=LOSSES, key="name"):
    """A loss of the classes, picked by `name`, and its share of a sum.

    A detector's boxes, and what it proposes, keep the recipe's own losses.
    """

    name: str
    weight: float = Field(default=1.0, gt=0, description="share in a sum")


class ClassWeightedLoss(Loss):
    """A loss that can count some classes more than others."""

    class_weights: Literal["balanced"] | dict[str, float] | None = Field(
        default=None,
        description="by category name (for masks also 'background'), or 'balanced': the inverse "
        "of a class's share of the training data, 1 on average",
    )


def losses_of(task: Task) -> list[str]:
    """The names of the losses that fit a task.

    >>> "dice" in losses_of("seg"), "dice" in losses_of("cls")
    (True, False)
    """
    return [name for name, entry in LOSSES.items() if task in entry.thing.tasks]


def form_of(loss: Loss, kind: str) -> Any:
    """What `LossConfigs` says of a loss for one kind of head.

    Args:
        loss: The settings.
        kind: A field of `LossConfigs`.

    Raises:
        LossError: The loss does not fit such a head; the message lists those that do.
    """
    form = getattr(LOSSES[loss.name].thing, kind)
    if form is None:
        fitting = [name for name, entry in LOSSES.items() if getattr(entry.thing, kind) is not None]
        raise LossError(
            f"{loss.name!r} is no loss of a {kind} head; use one of {', '.join(fitting)}"
        )
    return form


def read_losses(given: Any) -> Any:
    """What a user writes for `loss`, as a list of settings.

    >>> read_losses("focal")
    [{'name': 'focal'}]
    >>> read_losses({"cross_entropy": 1, "dice": 3})
    [{'name': 'cross_entropy', 'weight': 1}, {'name': 'dice', 'weight': 3}]
    >>> read_losses(["focal", {"name": "dice", "weight": 3}])
    [{'name': 'focal'}, {'name': 'dice', 'weight': 3}]
    """
    if isinstance(given, str):
        return [{"name": given}]
    if isinstance(given, Mapping):
        if "name" in given:
            return [given]
        return [{"name": name, "weight": weight} for name, weight in given.items()]
    if isinstance(given, (list, tuple)):
        return [{"name": loss} if isinstance(loss, str) else loss for loss in given]
    return given
