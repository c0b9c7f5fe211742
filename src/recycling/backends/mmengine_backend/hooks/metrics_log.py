"""How well and how fast a training goes: a line for each epoch, and figures for the checkpoint."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook

from recycling.backends.shared.best_epoch import BestEpoch
from recycling.backends.shared.speed import Speed
from recycling.backends.shared.training_log import METRICS, add_line, keep_lines


class MetricsLog(Hook):  # type: ignore[misc]
    """Measures a training, and writes a line for each epoch.

    Args:
        folder: Where the lines are written.
        batch_size: Images of one step, of all processes together.
        best: Knows the last epoch's score, in a training with `early_stopping`.
    """

    priority = "VERY_LOW"

    def __init__(self, folder: Path, batch_size: int, best: BestEpoch | None) -> None:
        self.path = folder / METRICS
        self.batch_size = batch_size
        self.best = best
        self.speed = Speed()
        self.first = True
        self.last = self.began = self.arrived = 0.0
        self.losses: list[float] = []

    def before_train(self, runner: Any) -> None:
        """Drop the lines of epochs that are trained again."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        if is_main_process():
            keep_lines(self.path, "epoch", runner.epoch)

    def before_train_epoch(self, runner: Any) -> None:
        """Start the clock."""
        self.losses = []
        self.began = self.last = time.perf_counter()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """The batch is there."""
        self.arrived = time.perf_counter()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """The step is done; mmengine waits for its loss, so the clock is right on a GPU too."""
        now = time.perf_counter()
        if not self.first:
            self.speed.add_iteration(now - self.last, self.arrived - self.last)
        self.first = False
        self.last = now
        self.losses.append(float(runner.message_hub.get_scalar("train/loss").current()))

    def after_train_epoch(self, runner: Any) -> None:
        """Write the epoch's line."""
        self.speed.epochs.append(self.last - self.began)
        loss = torch.tensor(sum(self.losses) / max(1, len(self.losses)), dtype=torch.float64)
        if get_world_size() > 1:
            from mmengine.dist import all_reduce

            all_reduce(loss, "mean")
        if is_main_process():
            rates = runner.optim_wrapper.get_lr()
            line = {
                "epoch": runner.epoch + 1,
                "loss": float(loss),
                # Of several groups the first is the backbone's, which may have a lower rate.
                "learning_rate": rates.get("base_lr", rates["lr"])[0],
                "minutes": self.speed.epochs[-1] / 60,
            }
            if self.best is not None:
                line["score"] = self.best.last
            add_line(self.path, line)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the figures of what has been trained so far."""
        checkpoint["figures"] = asdict(self.speed)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Go on from the figures of what has been trained before."""
        if "figures" in checkpoint:
            self.speed = Speed(**checkpoint["figures"])

    def facts(self) -> dict[str, Any]:
        """The figures for the checkpoint."""
        return self.speed.facts(self.batch_size)
