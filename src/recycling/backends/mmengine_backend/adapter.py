"""The adapter: a model's settings in, calls of mmengine's Runner, a checkpoint out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from recycling.backends.core import (
    BackendError,
    Checkpoint,
    Images,
    TrainingData,
)
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.checkpoint import CONFIG, config_writer, load_pretrained
from recycling.backends.mmengine_backend.data.training_set import (
    TrainingSet,
    write_training_set,
)
from recycling.backends.mmengine_backend.devices import Job, check_devices, launch
from recycling.backends.mmengine_backend.memory_format import use_fastest_memory_format
from recycling.backends.mmengine_backend.network import load_network, ready
from recycling.backends.mmengine_backend.prediction import predict
from recycling.backends.mmengine_backend.pretrained import check_weights
from recycling.backends.mmengine_backend.resolve import first_line, resolve
from recycling.backends.shared.checkpoint_folder import (
    Trained,
    categories_of,
    read_facts,
    with_settings,
    write_checkpoint,
)
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import alone_in, begin, end, flat, identity_of, state_of
from recycling.predictions import Predictions
from recycling.progress import progress_bar

NOT_OF_IDENTITY = frozenset(
    {
        "ann_file",
        "experiment_name",
        "log_processor",
        "resume",
        "test_cfg",
        "test_pipeline",
        "visualizer",
        "work_dir",
    }
)
"""Keys of the library's config that say where things are, what is logged, or how to predict."""


class MMEngineBackend:
    """Trains and predicts with mmpretrain, mmdet or mmseg.

    Args:
        name: Which of the three.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def train(self, model: Model, recipe: Path, data: TrainingData, work_dir: Path) -> Checkpoint:
        """Train `model`, built from the config file `recipe`, on `data`.

        A training that was stopped goes on after its last whole epoch, and ends as it would have
        ended. One that ended before, with all that it depends on as it is now, is not run again;
        remove its folder for that. Whatever has changed is named in one line.

        Args:
            model: The settings.
            recipe: A config in mmengine's language; see `resolve`.
            data: What to train on; the held-out fold is only looked at for `early_stopping`.
            work_dir: Gets the annotation file, the library's logs, ``metrics.jsonl`` (by
                epoch), the state of a training that has not ended, and ``checkpoint/``.

        Raises:
            BackendError: A setting, the recipe, the weights to start from or the data cannot be
                used, an image cannot be read, the loss is no longer a number, the disk is full, or
                another process trains in `work_dir`.
        """
        work_dir.mkdir(parents=True, exist_ok=True)
        if model.early_stopping is not None and data.score is None:
            raise BackendError(
                f"model {model.recipe!r}: early_stopping needs TrainingData.score; give it"
            )
        check_devices(model)
        with alone_in(work_dir):
            training_set = write_training_set(model.task, data, work_dir / "data")
            with library_of(model, work_dir):
                job = _prepared(model, recipe, data, training_set, work_dir)
                ended = begin(work_dir, job.identity)
                if ended is not None:
                    return with_settings(ended, model, CONFIG, config_writer(job.config))
                if model.devices == 1:
                    return train(job)
            return launch(job)

    def predict(self, checkpoint: Checkpoint, images: Images) -> Predictions:
        """Predict on `images`, in the project's formats.

        Args:
            checkpoint: The folder that `train` made; nothing else is needed.
            images: What to predict on; for a classifier with `crops`.

        Raises:
            BackendError: The folder is no whole checkpoint or another library's, or an image
                cannot be read.
        """
        trained = read_facts(checkpoint, CONFIG)
        with session.library(self.name):
            return predict(load_network(checkpoint, trained, self.name), images)


def library_of(model: Model, work_dir: Path) -> AbstractContextManager[None]:
    """The model's library for one training, its warnings in the run's folder."""
    log = work_dir / "warnings.log"
    return session.library(model.backend, log, deterministic=model.deterministic)


def train(job: Job) -> Checkpoint:
    """Train what `MMEngineBackend.train` has prepared, or this process's share of it.

    Runs inside `library_of`.

    Raises:
        BackendError: As there.
    """
    from mmengine.dist import barrier, is_main_process

    checkpoint = Checkpoint(job.work_dir / "checkpoint")
    weights, facts = _run(job)
    facts["training_sha256"] = job.training_set.sha256
    facts["n_samples"] = job.training_set.n_samples
    facts["libraries"] = dict(job.versions)
    facts["trained_as"] = job.identity.sha256
    if is_main_process():
        trained = Trained(job.model, categories_of(job.data), facts)
        write_checkpoint(checkpoint.folder, trained, weights, config_writer(job.config))
        end(job.work_dir)
    barrier()
    return checkpoint


def _prepared(
    model: Model, recipe: Path, data: TrainingData, training_set: TrainingSet, work_dir: Path
) -> Job:
    """All that can be known before the first step."""
    config = resolve(model, recipe, training_set, work_dir)
    start = check_weights(model, config.to_dict())
    versions = session.versions(model.backend)
    identity = identity_of(
        model,
        flat(config.to_dict(), NOT_OF_IDENTITY),
        versions,
        training_data=training_set.sha256,
        start=start,
    )
    return Job(model, config, data, training_set, work_dir, start, versions, identity)


def _run(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train, and give the weights and the figures of the training."""
    from mmengine.dist import is_main_process

    from recycling.backends.mmengine_backend.hooks.early_stopping import StopEarly, current_network
    from recycling.backends.mmengine_backend.hooks.failing_loss import StopAtFailingLoss
    from recycling.backends.mmengine_backend.hooks.initial_weights import StartFrom
    from recycling.backends.mmengine_backend.hooks.keep_state import KeepState
    from recycling.backends.mmengine_backend.hooks.metrics_log import MetricsLog
    from recycling.backends.mmengine_backend.hooks.progress import ProgressLine
    from recycling.backends.mmengine_backend.hooks.seeding import SeedEpochs

    model, name, start = job.model, job.work_dir.name, job.start
    state = state_of(job.work_dir)
    runner = _build(job.config, model.seed, state, name)
    guard = StopAtFailingLoss(job.work_dir)
    stop = None
    if model.early_stopping is not None:
        stop = StopEarly(model.early_stopping, _scorer(job), name)
    metrics = MetricsLog(
        job.work_dir, model.batch_size, lambda: {} if stop is None else stop.figures()
    )
    for hook in (SeedEpochs(model.seed), guard, metrics, KeepState(job.work_dir), stop):
        if hook is not None:
            runner.register_hook(hook)
    if start is not None and state is None:
        runner.register_hook(StartFrom(lambda network: load_pretrained(network, start)))
    with progress_bar() as progress:
        if is_main_process():
            runner.register_hook(ProgressLine(progress, "training"))
        try:
            runner.train()
        except BackendError as error:
            # A loader process wraps what it raises in its own traceback.
            last = str(error).strip().splitlines()[-1]
            raise BackendError(last.split("BackendError: ")[-1]) from error
        finally:
            runner.visualizer.close()
            _end_loaders(runner)
    facts = {**metrics.facts(), "iterations": runner.iter, "last_loss": guard.loss}
    if stop is not None:
        facts.update(stop.facts())
        return stop.weights, facts
    return dict(current_network(runner).state_dict()), facts


def _end_loaders(runner: Any) -> None:
    """End the loader processes now.

    Left to the garbage collector, torch waits 5 s for each: the queue that would tell a process to
    end is collected along with what writes to it.
    """
    iterator = runner.train_dataloader._iterator
    if iterator is not None:
        iterator._shutdown_workers()


def _scorer(job: Job) -> Callable[[Any], float]:
    """What predicts the held-out fold with a network of the training, and scores it."""
    held_out = job.data.validation
    annotations = held_out.annotations.annotations
    crops = annotations[~annotations["iscrowd"]] if job.model.task == "cls" else None
    images = Images(held_out.annotations.images, held_out.folder, crops)
    # One look at each image tells epochs apart.
    plain = {"test_time_augmentation": None, "probabilities": False}
    trained = Trained(job.model.model_copy(update=plain), categories_of(job.data), {})

    def score(network: Any) -> float:
        assert job.data.score is not None
        return float(job.data.score(predict(ready(network, job.config, trained), images)))

    return score


def _build(config: Any, seed: int, state: Path | None, name: str) -> Any:
    import logging

    from mmengine.runner import Runner

    if state is not None:
        config = copy.deepcopy(config)
        config.load_from, config.resume = str(state), True
    try:
        with session.silence():
            runner = Runner.from_cfg(config)
            use_fastest_memory_format(runner.model)
            # In the runner alone: its config is that of the checkpoint, and formatted once.
            loader = copy.deepcopy(config.train_dataloader)
            loader.dataset = {"type": "SeededByEpoch", "dataset": loader.dataset, "seed": seed}
            runner._train_dataloader = loader
            # Builds the loader now, while what it prints goes nowhere.
            _ = runner.train_loop
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"{name}: the model cannot be built: {first_line(error)}") from error
    load = runner.load_or_resume

    def load_quietly() -> None:
        with session.silence():
            load()

    runner.load_or_resume = load_quietly
    for handler in list(runner.logger.handlers):
        if type(handler) is logging.StreamHandler:
            runner.logger.removeHandler(handler)
    return runner
