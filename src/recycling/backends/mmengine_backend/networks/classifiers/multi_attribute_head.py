"""A head for each attribute of a class, on one backbone.

mmpretrain's ``MultiTaskHead`` has several heads, too, but wants a label for each of them with every
image and gives as many predictions. Here both are of the project's classes, so that whatever
trains, scores or fuses classes works unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from numpy.typing import NDArray
from torch import Tensor, nn

from recycling.annotations.formats.class_labels import SEPARATOR, attributes_of


@MODELS.register_module()
class MultiAttributeHead(ClsHead):  # type: ignore[misc]
    """A linear layer for each attribute; a class is a value of each.

    A class's probability is the product of those of its values, made to sum to 1 over the classes
    that there are. The losses of the heads are summed, each with its weight.

    Which values make up a class is read from its name, ``wear/male/young``, the heads' order being
    that of the name. Where names are not of that form, or not known, the classes are all
    combinations in order, the last head's value changing fastest: with heads of 3, 2 and 3 values
    class 7 is 1, 0, 1.

    Behind `ConcatenatedBackbones` each head can look at the features of its own backbone only.
    These share nothing then but their training: several models, composed.

    Args:
        in_channels: Features of an image, of which every head sees all; or, for each head, how
            many of them are its own, one behind the other.
        num_classes: The number of classes.
        heads: For each its ``name``, its ``size`` (how many values it tells apart), and, if
            need be, its ``weight`` in the sum of losses (1) and its own ``loss``.
        class_names: The names of the classes, in order; None where they are not known.
        dropout_rate: Share of features that are dropped while training.
        loss: The loss of those heads that have none of their own.
        init_cfg: How to initialise; see mmengine.
        **settings: Those of ``ClsHead``.

    Raises:
        ValueError: The heads do not fit the classes; one line.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_classes: int,
        heads: Sequence[Mapping[str, Any]],
        class_names: Sequence[str] | None = None,
        dropout_rate: float = 0.0,
        loss: Mapping[str, Any] | None = None,
        init_cfg: Any = None,
        **settings: Any,
    ) -> None:
        shared = loss or {"type": "CrossEntropyLoss", "loss_weight": 1.0}
        losses = [
            MODELS.build(_sized(head.get("loss") or shared, int(head["size"]))) for head in heads
        ]
        init_cfg = init_cfg or {"type": "Normal", "layer": "Linear", "std": 0.01}
        super().__init__(loss=nn.ModuleList(losses), init_cfg=init_cfg, **settings)
        self.names = [str(head["name"]) for head in heads]
        self.sizes = [int(head["size"]) for head in heads]
        self.weights = [float(head.get("weight", 1.0)) for head in heads]
        self.num_classes = num_classes
        values = _values_of_classes(self.names, self.sizes, num_classes, class_names)
        # What the config says need not be among the weights.
        self.register_buffer("values", torch.as_tensor(values.tolist()), persistent=False)
        self.dropout = nn.Dropout(dropout_rate)
        if isinstance(in_channels, int):
            self.own_channels: list[int] | None = None
            channels = [in_channels] * len(self.sizes)
        else:
            self.own_channels = channels = list(in_channels)
        if len(channels) != len(self.sizes):
            raise ValueError(
                f"model.head.in_channels: {len(channels)} numbers for {len(self.sizes)} heads; "
                "give one a head, or a single number"
            )
        self.layers = nn.ModuleList(
            nn.Linear(*sides) for sides in zip(channels, self.sizes, strict=True)
        )

    def scores(self, feats: tuple[Tensor, ...]) -> list[Tensor]:
        """What each head says.

        Args:
            feats: Features; of the last, (B, ``in_channels`` or their sum), the scores are made.

        Returns:
            For each head (B, its ``size``), before the softmax.
        """
        features = self.dropout(self.pre_logits(feats))
        own = (
            [features] * len(self.layers)
            if self.own_channels is None
            else features.split(self.own_channels, dim=1)
        )
        return [layer(its_own) for layer, its_own in zip(self.layers, own, strict=True)]

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The logarithm of each class's probability, but for a constant: (B, ``num_classes``)."""
        return self._of_classes(self.scores(feats))

    def loss(
        self, feats: tuple[Tensor, ...], data_samples: Sequence[Any], **settings: Any
    ) -> dict[str, Tensor]:
        """The loss of each head, ``loss_NAME``, with its weight; their sum is what is minimised.

        Args:
            feats: As for `scores`.
            data_samples: The images' classes, or the shares of a mixed image's classes.
            **settings: For the losses.
        """
        scores = self.scores(feats)
        heads = zip(self.names, scores, self._targets(data_samples), strict=True)
        losses = {
            f"loss_{name}": weight * loss(score, target, avg_factor=len(score), **settings)
            for (name, score, target), weight, loss in zip(
                heads, self.weights, self.loss_module, strict=True
            )
        }
        if self.cal_acc:
            from mmpretrain.evaluation.metrics import Accuracy

            labels = torch.cat([sample.gt_label for sample in data_samples])
            # It does not count a score below 0, so the logarithms will not do.
            probabilities = self._of_classes(scores).softmax(dim=1)
            found = Accuracy.calculate(probabilities, labels, topk=self.topk)
            losses |= {
                f"accuracy_top-{k}": share for k, share in zip(self.topk, found, strict=True)
            }
        return losses

    def _of_classes(self, scores: list[Tensor]) -> Tensor:
        logs = [
            score.float().log_softmax(dim=1)[:, self.values[:, head]]
            for head, score in enumerate(scores)
        ]
        return torch.stack(logs).sum(dim=0)

    def _targets(self, data_samples: Sequence[Any]) -> list[Tensor]:
        """For each head the values, (B,), or their shares where images are mixed, (B, size)."""
        heads = range(len(self.sizes))
        if "gt_score" in data_samples[0]:
            shares = torch.stack([sample.gt_score for sample in data_samples])
            return [
                shares.new_zeros(len(shares), self.sizes[head]).index_add(
                    1, self.values[:, head], shares
                )
                for head in heads
            ]
        labels = torch.cat([sample.gt_label for sample in data_samples])
        return [self.values[labels, head] for head in heads]


def _sized(loss: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The config of a loss, for `size` values where it counts them."""
    return {**loss, "num_classes": size} if "num_classes" in loss else dict(loss)


def _values_of_classes(
    names: list[str], sizes: list[int], num_classes: int, class_names: Sequence[str] | None
) -> NDArray[np.int64]:
    """The number of each head's value in each class, (classes, heads)."""
    if class_names is None or not any(SEPARATOR in name for name in class_names):
        if prod(sizes) != num_classes:
            heads = ", ".join(f"{name} {size}" for name, size in zip(names, sizes, strict=True))
            raise ValueError(
                f"model.head.heads: {num_classes} classes, but the heads ({heads}) make "
                f"{prod(sizes)}; correct their sizes"
            )
        return np.stack(np.unravel_index(np.arange(num_classes), sizes), axis=1).astype(np.int64)
    attributes = attributes_of(class_names, names)
    columns = []
    for name, size in zip(names, sizes, strict=True):
        numbers, values = attributes[name].factorize()
        if len(values) != size:
            raise ValueError(
                f"model.head.heads: {name} has size {size}, but the classes' names hold "
                f"{len(values)} values of it: {', '.join(values)}; correct the size"
            )
        columns.append(numbers)
    return np.stack(columns, axis=1).astype(np.int64)
