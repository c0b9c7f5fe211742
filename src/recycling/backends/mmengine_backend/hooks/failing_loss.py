"""The end of a training whose step fails, or whose loss is no longer a number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from recycling.backends.mmengine_backend.hooks.current_network import network_of
from recycling.backends.shared.failing_step import Step
from recycling.backends.shared.training_log import failing_loss


class StopAtFailingLoss(Hook):  # type: ignore[misc]
    """Stops a training whose loss is no longer a number, and knows which step runs.

    mmengine has read the loss already, for its log: looking at it costs nothing more.

    Args:
        work_dir: The run's folder; gets the list of the last batch's images.
    """

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.loss = math.nan
        self.step = Step(work_dir)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Remember the step."""
        self.step.network = network_of(runner)
        self.step.iteration, self.step.iterations = runner.iter + 1, runner.max_iters
        self.step.images = list(_images(data_batch))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at the loss of the last iteration."""
        self.step.images = None
        self.loss = float(runner.message_hub.get_scalar("train/loss").current())
        if not math.isfinite(self.loss):
            images = list(_images(data_batch))
            iteration = runner.iter + 1
            raise failing_loss(self.work_dir, str(self.loss), iteration, runner.max_iters, images)


def _images(data_batch: Any) -> Iterator[str]:
    """The file, and for a crop its box, of each sample of a batch."""
    samples = data_batch["data_samples"]
    if isinstance(samples, dict):  # of a student, by branch
        samples = [sample for branch in samples.values() for sample in branch]
    for sample in samples:
        box = sample.metainfo.get("box")
        crop = "" if box is None else f" [{', '.join(f'{edge:g}' for edge in box)}]"
        yield f"{sample.metainfo.get('img_path', 'an image without a name')}{crop}"
