"""The training, epoch by epoch: each has random numbers of its own and ends with a state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recycling.backends.core import BackendError, unwrapped_errors
from recycling.backends.detectron2_backend.checkpoint import Network
from recycling.backends.detectron2_backend.ignore_regions import leave_out_ignore_regions
from recycling.backends.detectron2_backend.losses import use_loss
from recycling.backends.detectron2_backend.prediction import predict
from recycling.backends.detectron2_backend.pretrained import load_pretrained
from recycling.backends.detectron2_backend.schedule import build_curve, build_optimizer
from recycling.backends.detectron2_backend.session import seed_epoch
from recycling.backends.detectron2_backend.state import read_state, write_state
from recycling.backends.shared.best_epoch import BestEpoch
from recycling.backends.shared.failing_step import Step, explained_step
from recycling.backends.shared.freed_memory import freed_memory_kept
from recycling.backends.shared.ignore_regions import count_ignore_regions
from recycling.backends.shared.job import Job, scorer
from recycling.backends.shared.resume import state_of
from recycling.backends.shared.snapshots import Snapshots
from recycling.backends.shared.speed import Speed
from recycling.backends.shared.threads import set_threads
from recycling.backends.shared.training_log import METRICS, add_line, failing_loss, keep_lines
from recycling.errors import one_line
from recycling.progress import progress_bar
from recycling.stopping import stop_if_asked

LOG_PERIOD = 20
"""Iterations from one line of ``metrics.json`` to the next."""


@dataclass(frozen=True)
class DetectorJob(Job):
    """A training of detectron2, resolved once; its config holds the number of iterations.

    Attributes:
        stream: The samples; see `samples.stream_of`.
        class_weights: Of the loss, in the order of class indices.
    """

    stream: Any
    class_weights: Sequence[float]


def fit(job: DetectorJob) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Train a network, from the state in the run's folder where there is one.

    Args:
        job: What to do.

    Returns:
        The state dict, of the best epoch where there is `early_stopping`, else of the last; the
        figures of the training; and its snapshots.

    Raises:
        BackendError: The network cannot be built, an image cannot be read, the loss is no longer
            a number, or the disk is full.
    """
    training = _Training(job)
    with (
        progress_bar() as progress,
        explained_step(training.step),
        unwrapped_errors(),
        freed_memory_kept(),
    ):
        total = job.config.SOLVER.MAX_ITER
        task = progress.add_task("training", total=total, completed=training.iteration, note="")
        for epoch in range(training.epoch + 1, job.model.epochs + 1):
            if training.is_over():
                break
            training.train(epoch, lambda note: progress.update(task, advance=1, note=note))
    return training.weights(), training.facts(), training.snapshots.weights


class _Training:
    """What changes during a training, and is kept in its state."""

    def __init__(self, job: DetectorJob) -> None:
        import torch
        from detectron2.solver import LRMultiplier

        from recycling.backends.detectron2_backend.samples import build_loader
        from recycling.backends.detectron2_backend.trainer import Trainer

        self.job = job
        iterations = job.config.SOLVER.MAX_ITER
        self.network = _build(job)
        set_threads(self.network, job.model)
        self.average: Any = None
        if job.model.ema is not None:
            averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(job.model.ema)  # type: ignore[no-untyped-call]
            self.average = torch.optim.swa_utils.AveragedModel(self.network, multi_avg_fn=averaging)
        self.optimizer = build_optimizer(job.model, job.config, self.network)
        curve = build_curve(job.model.schedule, job.config)
        self.schedule = LRMultiplier(self.optimizer, curve, iterations)
        self.epoch = self.iteration = 0
        self.loss = math.nan
        self.step = Step(job.work_dir)
        self.step.network, self.step.iterations = self.network, iterations
        self.best: BestEpoch | None = None
        if job.model.early_stopping is not None:
            self.best = BestEpoch(job.model.early_stopping, job.name)
        self.snapshots = Snapshots(job.model, iterations)
        kept = state_of(job.work_dir)
        state = {} if kept is None else read_state(kept)
        self.iteration = state.get("iteration", 0)
        loader = build_loader(job.model, job.config, job.stream, self.iteration)
        self.trainer = Trainer(
            job.model, self.network, loader, self.optimizer, iterations, self.step
        )
        if state:
            self._put_back(state)
        keep_lines(job.work_dir / METRICS, "epoch", self.epoch)
        # The library counts from 0.
        keep_lines(job.work_dir / "metrics.json", "iteration", self.iteration - 1)

    def train(self, epoch: int, show: Callable[[str], None]) -> None:
        """Train one epoch, look at it, and keep the state.

        Args:
            epoch: From 1.
            show: Is told of each step.
        """
        from detectron2.engine import hooks
        from detectron2.utils.events import JSONWriter

        from recycling.backends.detectron2_backend.samples import iterations_until

        job, trainer = self.job, self.trainer
        until = iterations_until(epoch, job.model, job.stream)
        losses: list[float] = []
        writer = JSONWriter(str(job.work_dir / "metrics.json"))

        def after_step(trainer: Any) -> None:
            self.step.images = None
            self.loss = float(trainer.storage.latest()["total_loss"][0])
            losses.append(self.loss)
            if self.average is not None:
                self.average.update_parameters(self.network)
            done = trainer.iter + 1
            self.snapshots.update(done, self.current())
            if done % LOG_PERIOD == 0 or done == job.config.SOLVER.MAX_ITER:
                writer.write()
            show(f"epoch {epoch}/{job.model.epochs}  loss {self.loss:.3f}")

        schedule = hooks.LRScheduler(self.optimizer, self.schedule)
        trainer._hooks = []  # of the epoch before
        trainer.register_hooks([schedule, hooks.CallbackHook(after_step=after_step)])
        seed_epoch(job.model.seed, epoch)
        self.network.train()
        began = time.perf_counter()
        try:
            if until > self.iteration:
                trainer.train(start_iter=self.iteration, max_iter=until)
        except FloatingPointError as error:
            raise self._diverged(trainer.iter + 1) from error
        finally:
            writer.close()
        trainer.speed.epochs.append(time.perf_counter() - began)
        self.epoch, self.iteration = epoch, until
        self._check_weights()
        self._score()
        self._write_line(losses)
        if epoch < job.model.epochs and not self.is_over():
            write_state(job.work_dir, self._state(), job.identity)
            stop_if_asked()

    def is_over(self) -> bool:
        """Whether the score has not risen for long enough."""
        return self.best is not None and self.best.is_over(self.epoch)

    def current(self) -> Any:
        """The network as it would be kept now: averaged where the training averages."""
        return self.network if self.average is None else self.average.module

    def weights(self) -> dict[str, Any]:
        """Those to keep."""
        if self.best is not None:
            return self.best.weights
        return dict(self.current().state_dict())

    def facts(self) -> dict[str, Any]:
        """The figures of the training, for the checkpoint."""
        facts = self.trainer.speed.facts(self.job.model.batch_size)
        facts |= {"iterations": self.iteration, "last_loss": self.loss}
        return facts if self.best is None else {**facts, **self.best.facts()}

    def _score(self) -> None:
        if self.best is None:
            return
        score = scorer(
            self.job,
            lambda module, trained, images: predict(
                Network(module, self.job.config, trained), images
            ),
        )
        self.best.update(score(self.current()), self.epoch, self.current())

    def _write_line(self, losses: list[float]) -> None:
        # Of the backbone, which may have a lower rate; all groups take the same course.
        first = self.optimizer.param_groups[0]
        share = first["lr"] / first["initial_lr"]
        line = {
            "epoch": self.epoch,
            "loss": sum(losses) / max(1, len(losses)),
            "learning_rate": self.job.model.optimizer.learning_rate * share,
            "minutes": self.trainer.speed.epochs[-1] / 60,
        }
        if self.best is not None:
            line["score"] = self.best.last
        add_line(self.job.work_dir / METRICS, line)

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            # RetinaNet's average number of objects is no part of its state dict.
            "loss_normalizer": getattr(self.network, "loss_normalizer", None),
            "gradients": {
                name: parameter.grad
                for name, parameter in self.network.named_parameters()
                if parameter.grad is not None
            },
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.trainer.scaler.state_dict(),
            "best": None if self.best is None else self.best.state(),
            "snapshots": self.snapshots.weights,
            "figures": asdict(self.trainer.speed),
        }

    def _put_back(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        if state["loss_normalizer"] is not None:
            self.network.loss_normalizer = state["loss_normalizer"]
        for name, parameter in self.network.named_parameters():
            if name in state["gradients"]:
                parameter.grad = state["gradients"][name].to(parameter.device)
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.trainer.scaler.load_state_dict(state["scaler"])
        if self.best is not None:
            self.best.load_state(state["best"])
        self.snapshots.weights = state.get("snapshots", [])
        self.trainer.speed = Speed(**state["figures"])

    def _check_weights(self) -> None:
        """The last step of an epoch comes after the last look at the loss."""
        import torch

        tensors = self.network.state_dict().values()
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise self._diverged(self.iteration)

    def _diverged(self, iteration: int) -> BackendError:
        images = [record["file_name"] for record in self.trainer.batch]
        last = self.job.config.SOLVER.MAX_ITER
        return failing_loss(self.job.work_dir, "no number", iteration, last, images)


def _build(job: DetectorJob) -> Any:
    from detectron2.modeling import build_model

    seed_epoch(job.model.seed, 0)
    try:
        network = build_model(job.config)
    except Exception as error:
        raise BackendError(f"{job.name}: the model cannot be built: {one_line(error)}") from error
    if job.start is not None and state_of(job.work_dir) is None:
        load_pretrained(network, job.start, job.name)
    use_loss(network, job.model, job.class_weights)
    if count_ignore_regions(job.data):
        leave_out_ignore_regions(network)
    return network
