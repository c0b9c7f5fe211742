"""The held-out fold during a training: its score after each epoch, and the best epoch's weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper

from recycling.backends.core import BackendError
from recycling.backends.shared.settings import EarlyStopping


def current_network(runner: Any) -> torch.nn.Module:
    """The network as it would be kept now: averaged where the training averages."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            return hook.ema_model.module  # type: ignore[no-any-return]
    return runner.model.module if is_model_wrapper(runner.model) else runner.model  # type: ignore[no-any-return]


class StopEarly(Hook):  # type: ignore[misc]
    """Ends a training whose score no longer rises, and remembers its best epoch.

    Args:
        settings: How long to wait, and for what gain.
        score: Predicts the held-out fold with a network, and scores it; higher is better.
        name: What the model is called in messages.
    """

    priority = "LOW"  # after the averaging, before the state is kept

    def __init__(
        self, settings: EarlyStopping, score: Callable[[torch.nn.Module], float], name: str
    ) -> None:
        self.settings = settings
        self.score = score
        self.name = name
        self.last = math.nan
        self.best = -math.inf
        self.best_epoch = 0
        self.weights: dict[str, torch.Tensor] = {}

    def before_train(self, runner: Any) -> None:
        """A training that went on after a stop may have been about to end."""
        runner.train_loop.stop_training = self._is_over(runner.epoch)

    def after_train_epoch(self, runner: Any) -> None:
        """Score the network; one process does, and tells the others."""
        network = current_network(runner)
        told = [self.score(network) if is_main_process() else 0.0]
        broadcast_object_list(told)
        self.last = told[0]
        if math.isnan(self.last):
            raise BackendError(
                f"{self.name}: early_stopping: the held-out fold has nothing that can be scored; "
                "remove early_stopping, or hold out another fold"
            )
        epoch = runner.epoch + 1
        if self.last > self.best + (self.settings.min_gain if self.weights else 0.0):
            self.best, self.best_epoch = self.last, epoch
            self.weights = {
                name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()
            }
        runner.train_loop.stop_training = self._is_over(epoch)

    def figures(self) -> dict[str, float]:
        """The last epoch's score, for the log."""
        return {"score": self.last}

    def facts(self) -> dict[str, Any]:
        """The best epoch, for the checkpoint."""
        return {"best_epoch": self.best_epoch, "best_score": self.best}

    def _is_over(self, epoch: int) -> bool:
        return self.best_epoch > 0 and epoch - self.best_epoch >= self.settings.patience

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the best epoch in the state."""
        checkpoint["best"] = {
            "score": self.best,
            "epoch": self.best_epoch,
            "weights": self.weights,
        }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Go on from the best epoch of the state."""
        if "best" in checkpoint:
            best = checkpoint["best"]
            self.best, self.best_epoch = best["score"], best["epoch"]
            self.weights = best["weights"]
