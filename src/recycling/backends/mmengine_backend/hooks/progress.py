"""The progress line of a training."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from rich.progress import Progress, TaskID


class ProgressLine(Hook):  # type: ignore[misc]
    """Keeps one progress line: the epoch, the loss, the time left.

    Args:
        progress: Where the line is.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task: TaskID | None = None

    def before_train(self, runner: Any) -> None:
        """Open the line; a training that goes on starts where it was."""
        self.task = self.progress.add_task(
            "training", total=runner.max_iters, completed=runner.iter, note=""
        )

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
