"""The best epoch of a training with `early_stopping`."""

from __future__ import annotations

import math
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared.settings import EarlyStopping


class BestEpoch:
    """The epoch with the best score on the held-out fold, and its weights.

    Args:
        settings: How long to wait, and for what gain.
        name: What the model is called in messages.

    >>> import torch
    >>> best = BestEpoch(EarlyStopping(patience=1), "det.yolox.fold0")
    >>> for epoch, score in enumerate((0.5, 0.7, 0.6), 1):
    ...     best.update(score, epoch, torch.nn.Identity())
    >>> best.epoch, best.score, best.is_over(epoch=3)
    (2, 0.7, True)

    Attributes:
        last: The score of the last epoch.
        score: The best one.
        epoch: When it was reached, from 1; 0 before the first.
        weights: The state dict of then.
    """

    def __init__(self, settings: EarlyStopping, name: str) -> None:
        self.settings = settings
        self.name = name
        self.last = math.nan
        self.score = -math.inf
        self.epoch = 0
        self.weights: dict[str, Any] = {}

    def update(self, score: float, epoch: int, network: Any) -> None:
        """Take an epoch's score, and keep its weights if it is the best so far.

        Raises:
            BackendError: The score is not a number.
        """
        if math.isnan(score):
            raise BackendError(
                f"{self.name}: early_stopping: the held-out fold has nothing that can be scored; "
                "remove early_stopping, or hold out another fold"
            )
        self.last = score
        if score > self.score + (self.settings.min_gain if self.weights else 0.0):
            self.score, self.epoch = score, epoch
            self.weights = {
                name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()
            }

    def is_over(self, epoch: int) -> bool:
        """Whether the score has not risen for long enough."""
        return self.epoch > 0 and epoch - self.epoch >= self.settings.patience

    def facts(self) -> dict[str, Any]:
        """What the checkpoint says about it."""
        return {"best_epoch": self.epoch, "best_score": self.score}

    def state(self) -> dict[str, Any]:
        """What a training that goes on after a stop needs."""
        return {"score": self.score, "epoch": self.epoch, "weights": self.weights}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.score, self.epoch = state["score"], state["epoch"]
        self.weights = state["weights"]
