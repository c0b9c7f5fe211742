"""The training, epoch by epoch: each has random numbers of its own and ends with a state."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, Checkpoint, TrainingData
from recycling.backends.detectron2_backend.losses import use_loss
from recycling.backends.detectron2_backend.pretrained import load_pretrained
from recycling.backends.detectron2_backend.schedule import build_curve, build_optimizer
from recycling.backends.detectron2_backend.session import one_line, seed_epoch, unwrapped_errors
from recycling.backends.detectron2_backend.state import read_state, write_state
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import state_of
from recycling.files import write_text
from recycling.progress import progress_bar

LOG_PERIOD = 20
"""Iterations from one line of ``metrics.json`` to the next."""

METRICS = "metrics.jsonl"
"""One line of JSON for each epoch of a training, in the run's folder."""

FAILED_BATCH = "failed_batch.json"
NAMED = 8
"""Most pictures of a failing batch that the error itself names."""

Score = Callable[[Any], float]


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        model: The settings.
        config: The resolved config, with its length.
        data: What is trained on.
        stream: The samples; see `samples.stream_of`.
        work_dir: The run's folder; its name is what the model is called in messages.
        start: The weights to start from.
        score: How good a network of the training is on the held-out fold, for `early_stopping`.
    """

    model: Model
    config: Any
    data: TrainingData
    stream: Any
    work_dir: Path
    start: Path | None
    score: Score | None

    @property
    def name(self) -> str:
        """What the model is called in messages."""
        return self.work_dir.name


def fit(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train a network, from the state in the run's folder where there is one.

    Args:
        job: What to do.

    Returns:
        The state dict, of the best epoch where there is `early_stopping`, else of the last; and
        the figures of the training.

    Raises:
        BackendError: The network cannot be built, an image cannot be read, the loss is no longer
            a number, the disk is full, or W&B is on and cannot track the training.
    """
    from recycling.backends.detectron2_backend.tracking import tracked

    parts = _Parts(job)
    with (
        tracked(job.model, job.config, job.work_dir) as writers,
        progress_bar() as progress,
        unwrapped_errors(),
    ):
        total = job.config.SOLVER.MAX_ITER
        task = progress.add_task("training", total=total, completed=parts.iteration, note="")
        for epoch in range(parts.epoch + 1, job.model.epochs + 1):
            if parts.is_over():
                break
            parts.train(epoch, lambda note: progress.update(task, advance=1, note=note), writers)
    return parts.weights(), parts.facts()


class _Parts:
    """What changes during a training, and is kept in its state."""

    def __init__(self, job: Job) -> None:
        import torch
        from detectron2.solver import LRMultiplier

        from recycling.backends.detectron2_backend.samples import build_loader
        from recycling.backends.detectron2_backend.trainer import Trainer

        self.job = job
        iterations = job.config.SOLVER.MAX_ITER
        self.network = _build(job)
        self.average: Any = None
        if job.model.ema is not None:
            averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(job.model.ema)  # type: ignore[no-untyped-call]
            self.average = torch.optim.swa_utils.AveragedModel(self.network, multi_avg_fn=averaging)
        self.optimizer = build_optimizer(job.model, job.config, self.network)
        curve = build_curve(job.model.schedule, job.config)
        self.schedule = LRMultiplier(self.optimizer, curve, iterations)
        self.epoch = self.iteration = 0
        self.loss = math.nan
        self.last_score = math.nan
        self.best: dict[str, Any] = {"score": -math.inf, "epoch": 0, "weights": {}}
        kept = state_of(job.work_dir)
        state = {} if kept is None else read_state(kept)
        self.iteration = state.get("iteration", 0)
        loader = build_loader(job.model, job.config, job.stream, self.iteration)
        self.trainer = Trainer(job.model, self.network, loader, self.optimizer, iterations)
        if state:
            self._put_back(state)
        _keep_lines(job.work_dir / METRICS, "epoch", self.epoch)
        # The library counts from 0.
        _keep_lines(job.work_dir / "metrics.json", "iteration", self.iteration - 1)

    def train(self, epoch: int, show: Callable[[str], None], writers: Sequence[Any] = ()) -> None:
        """Train one epoch, look at it, and keep the state.

        Args:
            epoch: From 1.
            show: Is told of each step.
            writers: Of the library's; write as often as the one of ``metrics.json``.
        """
        from detectron2.engine import hooks
        from detectron2.utils.events import JSONWriter

        from recycling.backends.detectron2_backend.samples import iterations_until

        job, trainer = self.job, self.trainer
        until = iterations_until(epoch, job.model, job.stream)
        losses: list[float] = []
        writer = JSONWriter(str(job.work_dir / "metrics.json"))

        def look(trainer: Any) -> None:
            self.loss = float(trainer.storage.latest()["total_loss"][0])
            losses.append(self.loss)
            if self.average is not None:
                self.average.update_parameters(self.network)
            done = trainer.iter + 1
            if done % LOG_PERIOD == 0 or done == job.config.SOLVER.MAX_ITER:
                for one in (writer, *writers):
                    one.write()
            show(f"epoch {epoch}/{job.model.epochs}  loss {self.loss:.3f}")

        schedule = hooks.LRScheduler(self.optimizer, self.schedule)
        trainer._hooks = []  # of the epoch before
        trainer.register_hooks([schedule, hooks.CallbackHook(after_step=look)])
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
        trainer.figures.epochs.append(time.perf_counter() - began)
        self.epoch, self.iteration = epoch, until
        self._check_weights()
        self._score()
        self._write_line(losses)
        if epoch < job.model.epochs and not self.is_over():
            write_state(job.work_dir, self._state())

    def is_over(self) -> bool:
        """Whether the score has not risen for long enough."""
        stop = self.job.model.early_stopping
        best = self.best["epoch"]
        return stop is not None and best > 0 and self.epoch - best >= stop.patience

    def current(self) -> Any:
        """The network as it would be kept now: averaged where the training averages."""
        return self.network if self.average is None else self.average.module

    def weights(self) -> dict[str, Any]:
        """Those to keep."""
        return dict(self.best["weights"] or self.current().state_dict())

    def facts(self) -> dict[str, Any]:
        """The figures of the training, for the checkpoint."""
        facts = self.trainer.figures.facts(self.job.model.batch_size)
        facts |= {"iterations": self.iteration, "last_loss": self.loss}
        if self.job.score is not None:
            facts |= {"best_epoch": self.best["epoch"], "best_score": self.best["score"]}
        return facts

    def _score(self) -> None:
        job = self.job
        if job.score is None or job.model.early_stopping is None:
            return
        score = job.score(self.current())
        if math.isnan(score):
            raise BackendError(
                f"{job.name}: early_stopping: the held-out fold has nothing that can be scored; "
                "remove early_stopping, or hold out another fold"
            )
        self.last_score = score
        least = job.model.early_stopping.least_gain if self.best["weights"] else 0.0
        if score > self.best["score"] + least:
            weights = self.current().state_dict()
            self.best = {
                "score": score,
                "epoch": self.epoch,
                "weights": {key: value.detach().cpu().clone() for key, value in weights.items()},
            }

    def _write_line(self, losses: list[float]) -> None:
        line = {
            "epoch": self.epoch,
            "loss": sum(losses) / max(1, len(losses)),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "minutes": self.trainer.figures.epochs[-1] / 60,
        }
        if self.job.score is not None:
            line["score"] = self.last_score
        with (self.job.work_dir / METRICS).open("a") as file:
            file.write(json.dumps(line) + "\n")

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
            "best": self.best,
            "figures": asdict(self.trainer.figures),
        }

    def _put_back(self, state: dict[str, Any]) -> None:
        from recycling.backends.detectron2_backend.trainer import Figures

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
        self.best = state["best"]
        self.trainer.figures = Figures(**state["figures"])

    def _check_weights(self) -> None:
        """The last step of an epoch comes after the last look at the loss."""
        import torch

        tensors = self.network.state_dict().values()
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise self._diverged(self.iteration)

    def _diverged(self, iteration: int) -> BackendError:
        job = self.job
        pictures = [record["file_name"] for record in self.trainer.batch]
        (job.work_dir / FAILED_BATCH).write_text(json.dumps(pictures, indent=2) + "\n")
        more = f" and {len(pictures) - NAMED} more" if len(pictures) > NAMED else ""
        return BackendError(
            f"{job.name}: the loss is no number at iteration {iteration} of "
            f"{job.config.SOLVER.MAX_ITER}; lower optimizer.learning_rate or set "
            f"optimizer.clip_grad_norm; the last batch is {', '.join(pictures[:NAMED])}{more} "
            f"({job.work_dir / FAILED_BATCH})"
        )


def _build(job: Job) -> Any:
    from detectron2.modeling import build_model

    seed_epoch(job.model.seed, 0)
    try:
        network = build_model(job.config)
    except Exception as error:
        raise BackendError(f"{job.name}: the model cannot be built: {one_line(error)}") from error
    if job.start is not None and state_of(job.work_dir) is None:
        load_pretrained(network, job.start, job.name)
    use_loss(network, job.model, job.data)
    return network


def _keep_lines(path: Path, key: str, last: int) -> None:
    """Drop the lines of what is trained again, and one that a stop cut off."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)[key] <= last:
                kept.append(f"{line}\n")
        except (ValueError, KeyError):
            break
    write_text(path, "".join(kept))


def with_settings_of(job: Job, ended: Checkpoint) -> Checkpoint:
    """A checkpoint whose training is as asked, with the settings of prediction as asked."""
    import torch

    from recycling.backends.detectron2_backend.checkpoint import CONFIG, write_checkpoint
    from recycling.backends.shared.checkpoint_folder import Trained, read_facts

    trained = read_facts(ended, CONFIG)
    if trained.model == job.model:
        return ended
    facts = {key: value for key, value in trained.facts.items() if key != "weights_sha256"}
    weights = torch.load(ended.weights, map_location="cpu", weights_only=True)
    again = Trained(job.model, trained.categories, facts)
    return write_checkpoint(ended.folder, again, job.config, weights)
