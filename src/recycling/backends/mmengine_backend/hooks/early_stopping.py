"""The held-out fold during a training: its score after each epoch, and when to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook

from recycling.backends.mmengine_backend.hooks.current_network import current_network
from recycling.backends.shared.best_epoch import BestEpoch


class StopEarly(Hook):  # type: ignore[misc]
    """Ends a training whose score no longer rises.

    Args:
        best: Gets the best epoch.
        score: Predicts the held-out fold with a network, and scores it; higher is better.
    """

    priority = "LOW"  # after the averaging, before the state is kept

    def __init__(self, best: BestEpoch, score: Callable[[torch.nn.Module], float]) -> None:
        self.best = best
        self.score = score

    def before_train(self, runner: Any) -> None:
        """A training that went on after a stop may have been about to end."""
        runner.train_loop.stop_training = self.best.is_over(runner.epoch)

    def after_train_epoch(self, runner: Any) -> None:
        """Score the network; one process does, and tells the others."""
        network = current_network(runner)
        scores = [self.score(network) if is_main_process() else 0.0]
        broadcast_object_list(scores)
        epoch = runner.epoch + 1
        self.best.update(scores[0], epoch, network)
        runner.train_loop.stop_training = self.best.is_over(epoch)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the best epoch in the state."""
        checkpoint["best"] = self.best.state()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Go on from the best epoch of the state."""
        if "best" in checkpoint:
            self.best.load_state(checkpoint["best"])
