"""detectron2's trainer with what it lacks: accumulation, a clock, the name of a failing batch.

Nothing may import this before detectron2 is asked for.
"""

from __future__ import annotations

import resource
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from detectron2.engine import SimpleTrainer

from recycling.backends.shared.model import Model

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Figures:
    """How fast a training is; what a training that goes on adds to.

    Attributes:
        iterations: Those that were measured: all but the first of each start.
        seconds: What these took.
        waiting: Seconds of these that the step waited for its batch.
        first_iterations: Seconds of the first of each start, with the start of the loaders.
        epochs: Seconds of each epoch, the keeping of the state and scoring left out.
    """

    iterations: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    first_iterations: list[float] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)

    def facts(self, batch_size: int) -> dict[str, Any]:
        """For the checkpoint; rates are None for a training that has only a first iteration."""
        measured = self.seconds > 0
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # is in KiB
        return {
            "seconds": round(sum(self.epochs), 3),
            "minutes_per_epoch": round(sum(self.epochs) / 60 / max(1, len(self.epochs)), 5),
            "images_per_second": (
                round(self.iterations * batch_size / self.seconds, 2) if measured else None
            ),
            "waiting_share": round(self.waiting / self.seconds, 4) if measured else None,
            "first_iteration_seconds": round(max(self.first_iterations, default=0.0), 3),
            "peak_megabytes": round(peak, 1),
            "peak_megabytes_of": "GPU" if torch.cuda.is_available() else "process",
        }


class Trainer(SimpleTrainer):  # type: ignore[misc]
    """One step for each batch, one update for each `accumulate` steps and at the very end.

    Args:
        model: The settings.
        network: What learns.
        loader: Gives the batches.
        optimizer: Of torch.
        last: The number of all iterations.
    """

    def __init__(self, model: Model, network: Any, loader: Any, optimizer: Any, last: int) -> None:
        super().__init__(network, loader, optimizer)
        self.accumulate = model.accumulate
        self.dtype = DTYPES[model.precision]
        self.scaler = torch.amp.GradScaler("cuda", enabled=model.precision == "fp16")  # type: ignore[attr-defined]
        self.last = last
        self.batch: list[dict[str, Any]] = []
        self.figures = Figures()
        self.first = True

    def run_step(self) -> None:
        """Forward and backward of one batch and, at the end of so many, an update."""
        began = time.perf_counter()
        self.batch = next(self._data_loader_iter)
        waited = time.perf_counter() - began
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
        self._measure(time.perf_counter() - began, waited)

    def _is_update(self) -> bool:
        done = int(self.iter) + 1
        return done % self.accumulate == 0 or done == self.last

    def _together(self) -> int:
        """How many steps this one's update is of; the last update may be of fewer."""
        first = int(self.iter) // self.accumulate * self.accumulate
        return min(self.accumulate, self.last - first)

    def _measure(self, seconds: float, waited: float) -> None:
        """The loss has been read, so the clock is right on a GPU too."""
        if self.first:
            self.figures.first_iterations.append(seconds)
            self.first = False
        else:
            self.figures.iterations += 1
            self.figures.seconds += seconds
            self.figures.waiting += waited
