"""Hooks of mmengine's training loop: progress, the end at a failing loss, figures, weights."""

from __future__ import annotations

import json
import math
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from rich.progress import Progress, TaskID

from recycling.backends.core import BackendError
from recycling.files import write_text

METRICS = "metrics.jsonl"
"""One line of JSON for each epoch of a training, in the run's folder."""

FAILED_BATCH = "failed_batch.json"
NAMED = 8
"""Most pictures of a failing batch that the error itself names."""


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
        """Open the line; a training that goes on starts where it was."""
        self.task = self.progress.add_task(
            self.title, total=runner.max_iters, completed=runner.iter, note=""
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


class StopAtFailingLoss(Hook):  # type: ignore[misc]
    """Stops a training whose loss is no longer a number.

    mmengine has read the loss already, for its log: looking at it costs nothing more.

    Args:
        name: What the model is called in the message.
        folder: Gets the list of the last batch's pictures.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.loss = math.nan

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at the loss of the last iteration."""
        self.loss = float(runner.message_hub.get_scalar("train/loss").current())
        if not math.isfinite(self.loss):
            pictures = list(_pictures(data_batch))
            (self.folder / FAILED_BATCH).write_text(json.dumps(pictures, indent=2) + "\n")
            more = f" and {len(pictures) - NAMED} more" if len(pictures) > NAMED else ""
            raise BackendError(
                f"{self.name}: the loss is {self.loss} at iteration {runner.iter + 1} of "
                f"{runner.max_iters}; lower optimizer.learning_rate or set "
                "optimizer.clip_grad_norm; the last batch is "
                f"{', '.join(pictures[:NAMED])}{more} ({self.folder / FAILED_BATCH})"
            )


def _pictures(data_batch: Any) -> Iterator[str]:
    """The file, and for a crop its box, of each sample of a batch."""
    for sample in data_batch["data_samples"]:
        box = sample.metainfo.get("box")
        crop = "" if box is None else f" [{', '.join(f'{edge:g}' for edge in box)}]"
        yield f"{sample.metainfo.get('img_path', 'a picture without a name')}{crop}"


@dataclass
class Figures:
    """How fast a training is; what a training that goes on adds to.

    Attributes:
        iterations: Those that were measured: all but the first of each start.
        seconds: What these took.
        waiting: Seconds of these that the step waited for its batch.
        first_iterations: Seconds of the first of each start, with the start of the loaders and
            of the kernels.
        epochs: Seconds of each epoch, the keeping of the state and scoring left out.
    """

    iterations: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    first_iterations: list[float] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)


class Meter(Hook):  # type: ignore[misc]
    """Measures a training, and writes a line for each epoch.

    Args:
        folder: Where the lines are written.
        batch_size: Pictures of one step, of all processes together.
        scores: Gives what else is known about the last epoch, such as its score.
    """

    priority = "VERY_LOW"

    def __init__(
        self, folder: Path, batch_size: int, scores: Callable[[], dict[str, float]]
    ) -> None:
        self.path = folder / METRICS
        self.batch_size = batch_size
        self.scores = scores
        self.figures = Figures()
        self.first = True
        self.last = self.began = self.arrived = 0.0
        self.losses: list[float] = []

    def before_train(self, runner: Any) -> None:
        """Drop the lines of epochs that are trained again."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        if is_main_process():
            kept = [line for line in read_metrics(self.path) if line["epoch"] <= runner.epoch]
            write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

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
        if self.first:
            self.figures.first_iterations.append(now - self.last)
            self.first = False
        else:
            self.figures.iterations += 1
            self.figures.seconds += now - self.last
            self.figures.waiting += self.arrived - self.last
        self.last = now
        self.losses.append(float(runner.message_hub.get_scalar("train/loss").current()))

    def after_train_epoch(self, runner: Any) -> None:
        """Write the epoch's line."""
        self.figures.epochs.append(self.last - self.began)
        loss = torch.tensor(sum(self.losses) / max(1, len(self.losses)), dtype=torch.float64)
        if get_world_size() > 1:
            from mmengine.dist import all_reduce

            all_reduce(loss, "mean")
        if is_main_process():
            line = {
                "epoch": runner.epoch + 1,
                "loss": float(loss),
                "learning_rate": runner.optim_wrapper.get_lr()["lr"][0],
                "minutes": self.figures.epochs[-1] / 60,
                **self.scores(),
            }
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the figures of what has been trained so far."""
        checkpoint["figures"] = asdict(self.figures)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Go on from the figures of what has been trained before."""
        if "figures" in checkpoint:
            self.figures = Figures(**checkpoint["figures"])

    def facts(self) -> dict[str, Any]:
        """The figures for the checkpoint.

        Rates and shares are None for a training of one iteration, which has only a first one.
        """
        figures = self.figures
        measured = figures.seconds > 0
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # is in KiB
        return {
            "seconds": round(sum(figures.epochs), 3),
            "minutes_per_epoch": round(sum(figures.epochs) / 60 / max(1, len(figures.epochs)), 5),
            "images_per_second": (
                round(figures.iterations * self.batch_size / figures.seconds, 2)
                if measured
                else None
            ),
            "waiting_share": round(figures.waiting / figures.seconds, 4) if measured else None,
            "first_iteration_seconds": round(max(figures.first_iterations, default=0.0), 3),
            "peak_megabytes": round(peak, 1),
            "peak_megabytes_of": "GPU" if torch.cuda.is_available() else "process",
        }


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The epochs of a training: loss, learning rate, minutes and, where it is scored, the score.

    Args:
        path: The run's `METRICS` file; it need not exist.

    Yields:
        One epoch's figures; a line that a stop cut off is left out.
    """
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


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
        from mmengine.model import is_model_wrapper

        self.load(runner.model.module if is_model_wrapper(runner.model) else runner.model)
