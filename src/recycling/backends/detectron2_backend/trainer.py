"""detectron2's trainer with what it lacks: accumulation, a clock, the name of a failing batch.

Nothing may import this before detectron2 is asked for.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import torch
from detectron2.engine import SimpleTrainer

from recycling.backends.shared.failing_step import Step
from recycling.backends.shared.model import Model
from recycling.backends.shared.speed import Speed

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer(SimpleTrainer):  # type: ignore[misc]
    """One step for each batch, one update for each `accumulate` steps and at the very end.

    Args:
        model: The settings.
        network: What learns.
        loader: Gives the batches.
        optimizer: Of torch.
        last: The number of all iterations.
        step: Is told which step runs.
    """

    def __init__(
        self, model: Model, network: Any, loader: Any, optimizer: Any, last: int, step: Step
    ) -> None:
        super().__init__(network, loader, optimizer)
        self.accumulate = model.accumulate
        self.dtype = DTYPES[model.precision]
        self.scaler = torch.amp.GradScaler("cuda", enabled=model.precision == "fp16")  # type: ignore[attr-defined]
        self.last = last
        self.step = step
        self.batch: list[dict[str, Any]] = []
        self.speed = Speed()
        self.first = True

    def run_step(self) -> None:
        """Forward and backward of one batch and, at the end of so many, an update."""
        began = time.perf_counter()
        self.batch = next(self._data_loader_iter)
        waited = time.perf_counter() - began
        self.step.iteration = int(self.iter) + 1
        self.step.images = [record["file_name"] for record in self.batch]
        mixed = (
            nullcontext()
            if self.dtype == torch.float32
            else torch.autocast("cuda", dtype=self.dtype)
        )
        with mixed:
            losses = self.model(self.batch)
        self.scaler.scale(sum(losses.values()) / self._together()).backward()
        self.after_backward()
        self._write_metrics(losses, waited)
        if self._is_update():
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
        # The loss has been read, so the clock is right on a GPU too.
        if not self.first:
            self.speed.add_iteration(time.perf_counter() - began, waited)
        self.first = False

    def _is_update(self) -> bool:
        done = int(self.iter) + 1
        return done % self.accumulate == 0 or done == self.last

    def _together(self) -> int:
        """How many steps this one's update is of; the last update may be of fewer."""
        first = int(self.iter) // self.accumulate * self.accumulate
        return min(self.accumulate, self.last - first)
