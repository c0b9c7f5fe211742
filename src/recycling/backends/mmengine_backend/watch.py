"""Hooks of mmengine's training loop: progress, the end at a failing loss, starting weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from rich.progress import Progress, TaskID

from recycling.backends.core import BackendError


class ProgressLine(Hook):  # type: ignore[misc]
    """Keeps one progress line: the epoch, the loss, the time left.

    Args:
        progress: Where the line is.
        title: What is being trained.
    """

    def __init__(self, progress: Progress, title: str) -> None:
        self.progress = progress
        self.title = title
        self.task: TaskID | None = None

    def before_train(self, runner: Any) -> None:
        """Open the line."""
        self.task = self.progress.add_task(self.title, total=runner.max_iters, note="")

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Move the line on by one iteration."""
        assert self.task is not None
        loss = runner.message_hub.get_scalar("train/loss").current()
        self.progress.update(
            self.task,
            advance=1,
            note=f"epoch {runner.epoch + 1}/{runner.max_epochs}  loss {loss:.3f}",
        )


class StopAtFailingLoss(Hook):  # type: ignore[misc]
    """Stops a training whose loss is no longer a number.

    Args:
        name: What the model is called in the message.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.loss = math.nan

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at the loss of the last iteration."""
        self.loss = float(outputs["loss"])
        if not math.isfinite(self.loss):
            raise BackendError(
                f"{self.name}: the loss is {self.loss} at iteration {runner.iter + 1} of "
                f"{runner.max_iters}; lower optimizer.learning_rate or set "
                "optimizer.clip_grad_norm"
            )


class StartFrom(Hook):  # type: ignore[misc]
    """Puts weights into the model after the library has initialised it.

    Args:
        load: Puts them into the model that it is given.
    """

    priority = "VERY_HIGH"

    def __init__(self, load: Callable[[Any], None]) -> None:
        self.load = load

    def before_train(self, runner: Any) -> None:
        """Put the weights in."""
        self.load(runner.model)
