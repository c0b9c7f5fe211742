"""The adapter: a model's settings in, calls of mmengine's Runner, a checkpoint out."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.backends.core import (
    BackendError,
    Checkpoint,
    Images,
    TrainingData,
    unwrapped_errors,
)
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.activation_maps import activation_map
from recycling.backends.mmengine_backend.checkpoint import load_official, load_pretrained
from recycling.backends.mmengine_backend.config_file import CONFIG, text_of
from recycling.backends.mmengine_backend.data.training_set import (
    TrainingSet,
    write_training_set,
)
from recycling.backends.mmengine_backend.devices import check_devices, launch
from recycling.backends.mmengine_backend.memory_format import set_memory_format
from recycling.backends.mmengine_backend.network import Network, load_network, ready
from recycling.backends.mmengine_backend.prediction import predict
from recycling.backends.mmengine_backend.pretrained import (
    check_weights,
    facts_of_own_weights,
    find_official,
)
from recycling.backends.mmengine_backend.resolve import first_line, resolve
from recycling.backends.mmengine_backend.settings.semi_supervised import (
    add_teacher,
    check_unlabelled,
)
from recycling.backends.shared.activation_maps import ActivationMap, Asked, Method
from recycling.backends.shared.best_epoch import BestEpoch
from recycling.backends.shared.checkpoint_folder import (
    read_facts,
    with_prediction_settings,
    with_settings,
)
from recycling.backends.shared.failing_step import enough_memory, explained_step
from recycling.backends.shared.freed_memory import freed_memory_kept
from recycling.backends.shared.ignore_regions import count_ignore_regions, say_ignore_regions
from recycling.backends.shared.job import Job, check_can_score, finish, scorer
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import (
    alone_in,
    begin,
    facts_of_data,
    flat,
    identity_of,
    state_of,
)
from recycling.backends.shared.snapshots import Snapshots
from recycling.backends.shared.threads import set_threads
from recycling.predictions import Predictions
from recycling.progress import progress_bar

NOT_OF_IDENTITY = frozenset(
    {
        "ann_file",
        "cache_bytes",
        "experiment_name",
        "test_cfg",
        "test_pipeline",
        "work_dir",
    }
)
"""Keys of the library's config that say where things are, what is kept in memory, or how to
predict."""


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
        check_can_score(model, data)
        check_devices(model)
        work_dir.mkdir(parents=True, exist_ok=True)
        with alone_in(work_dir):
            training_set = write_training_set(model.task, data, work_dir / "data")
            with library_of(model, work_dir):
                job = _prepared(model, recipe, data, training_set, work_dir)
                ended = begin(work_dir, job.identity)
                if ended is not None:
                    return with_settings(ended, model, CONFIG, job.config_text)
                if model.task == "det":
                    say_ignore_regions(job.name, data)
                if model.n_devices == 1:
                    return train(job)
            return launch(job)

    def load(
        self, checkpoint: Checkpoint, *, device: str | None = None, **settings: Any
    ) -> LoadedNetwork:
        """Load a trained network, to predict with it again and again.

        Args:
            checkpoint: The folder that `train` made; nothing else is needed.
            device: What torch computes on; None for the GPU where there is one.
            settings: Those of the model that say how it predicts, such as `batch_size`, instead of
                its own.

        Raises:
            BackendError: The folder is no whole checkpoint or another library's, there is no such
                device, or memory runs out.
        """
        trained = with_prediction_settings(read_facts(checkpoint, CONFIG), settings)
        with session.library(self.name), enough_memory(checkpoint.folder):
            network = load_network(checkpoint, trained, self.name, device)
            return LoadedNetwork(checkpoint, network)

    def predict(self, checkpoint: Checkpoint, images: Images) -> Predictions:
        """Predict on `images`, in the project's formats.

        Args:
            checkpoint: The folder that `train` made; nothing else is needed.
            images: What to predict on; for a classifier with `crops`.

        Raises:
            BackendError: The folder is no whole checkpoint or another library's, an image
                cannot be read, or memory runs out.
        """
        return self.load(checkpoint).predict(images)

    def explain(
        self, checkpoint: Checkpoint, images: Images, asked: Asked, method: Method = "grad_cam"
    ) -> ActivationMap:
        """Where the network looked for one prediction.

        Args:
            checkpoint: The folder that `train` made.
            images: One image; for a classifier with one crop.
            asked: The prediction.
            method: How it is found out.

        Raises:
            BackendError: As `predict`; or the network gives no maps, or does not predict that.
        """
        trained = read_facts(checkpoint, CONFIG)
        with session.library(self.name), enough_memory(checkpoint.folder):
            network = load_network(checkpoint, trained, self.name)
            return activation_map(network, images, asked, method)


@dataclass(frozen=True)
class LoadedNetwork:
    """A trained network in memory.

    Attributes:
        checkpoint: Where it comes from.
        network: The network.
    """

    checkpoint: Checkpoint
    network: Network

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """`category_id` and `name` of each category, in the order of class indices."""
        return self.network.trained.categories

    def predict(self, images: Images) -> Predictions:
        """Predict on `images`, in the project's formats.

        Args:
            images: What to predict on; for a classifier with `crops`.

        Raises:
            BackendError: An image cannot be read, or memory runs out.
        """
        model = self.network.trained.model
        with session.library(model.backend), enough_memory(self.checkpoint.folder):
            # Left as before by the session that loaded it.
            set_threads(self.network.module, model)
            return predict(self.network, images)


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

    result = _run(job)
    if is_main_process():
        finish(job, *result, CONFIG)
    barrier()
    return Checkpoint(job.work_dir / "checkpoint")


def _prepared(
    model: Model, recipe: Path, data: TrainingData, training_set: TrainingSet, work_dir: Path
) -> Job:
    """All that can be known before the first step."""
    config = resolve(model, recipe, training_set, work_dir)
    check_unlabelled(config, model, training_set)
    start = check_weights(model, config.to_dict())
    versions = session.versions(model.backend)
    identity = identity_of(
        model,
        flat(config.to_dict(), NOT_OF_IDENTITY),
        versions,
        training_data=training_set.sha256,
        start=start,
        besides={**facts_of_data(data, model), **facts_of_own_weights(config.to_dict())},
    )
    n_samples, sha256 = training_set.n_samples, training_set.sha256
    text = text_of(config.to_dict(), work_dir.name)
    return Job(model, config, text, data, n_samples, sha256, work_dir, start, versions, identity)


def _run(job: Job) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Train, and give the weights, the figures of the training, and its snapshots."""
    from mmengine.dist import is_main_process

    from recycling.backends.mmengine_backend.folded_norms import unfolded
    from recycling.backends.mmengine_backend.hooks.current_network import (
        current_network,
        network_of,
    )
    from recycling.backends.mmengine_backend.hooks.early_stopping import StopEarly
    from recycling.backends.mmengine_backend.hooks.failing_loss import StopAtFailingLoss
    from recycling.backends.mmengine_backend.hooks.keep_snapshots import KeepSnapshots
    from recycling.backends.mmengine_backend.hooks.keep_state import KeepState
    from recycling.backends.mmengine_backend.hooks.l1_at_the_end import L1AtTheEnd
    from recycling.backends.mmengine_backend.hooks.metrics_log import MetricsLog
    from recycling.backends.mmengine_backend.hooks.progress import ProgressLine
    from recycling.backends.mmengine_backend.hooks.seeding import SeedEpochs

    model = job.model
    runner = _build(job)
    set_threads(runner.model, model)
    best = None if model.early_stopping is None else BestEpoch(model.early_stopping, job.name)
    guard = StopAtFailingLoss(job.work_dir)
    metrics = MetricsLog(job.work_dir, model.batch_size, best)
    snapshots = Snapshots(model, runner.max_iters)
    for hook in (SeedEpochs(model.seed), guard, metrics, KeepState(job.work_dir, job.identity)):
        runner.register_hook(hook)
    if model.mosaic_off_epochs:
        runner.register_hook(L1AtTheEnd(model.epochs - model.mosaic_off_epochs))
    if "semi_supervised" in job.config:
        from mmdet.engine.hooks import MeanTeacherHook

        runner.register_hook(MeanTeacherHook(skip_buffer=False))
    if model.snapshots is not None:
        runner.register_hook(KeepSnapshots(snapshots))
    if best is not None:
        score = scorer(
            job,
            lambda network, trained, images: predict(ready(network, job.config, trained), images),
        )
        runner.register_hook(StopEarly(best, score))
    with (
        progress_bar() as progress,
        explained_step(guard.step),
        unwrapped_errors(),
        freed_memory_kept(),
    ):
        if is_main_process():
            runner.register_hook(ProgressLine(progress))
        try:
            runner.train()
        finally:
            runner.visualizer.close()
            _end_loaders(runner)
    facts = {**metrics.facts(), "iterations": runner.iter, "last_loss": guard.loss}
    weights, passed = dict(current_network(runner).state_dict()), snapshots.weights
    if best is not None:
        weights, facts = best.weights, {**facts, **best.facts()}
    if model.fold_norms:
        network = network_of(runner)
        weights, passed = unfolded(network, weights), [unfolded(network, own) for own in passed]
    return weights, facts, passed


def _fit_to_data(network: Any, job: Job) -> None:
    """Let a network learn as the annotations ask: ignore regions, and weights by score."""
    if job.model.task == "seg" and count_ignore_regions(job.data):
        from recycling.backends.mmengine_backend.networks.segmenters import ignored_pixels

        ignored_pixels.say_what_cannot_ignore(network, job.name)
    if job.model.task != "det":
        return
    from recycling.backends.mmengine_backend.networks.detectors import (
        ignore_regions,
        score_weights,
    )

    if job.model.score_weights:
        score_weights.weigh_by_score(network)
    if count_ignore_regions(job.data):
        ignore_regions.leave_out_ignore_regions(network, job.name)


def _end_loaders(runner: Any) -> None:
    """End the loader processes now.

    Left to the garbage collector, torch waits 5 s for each: the queue that would tell a process to
    end is collected along with what writes to it.
    """
    iterator = runner.train_dataloader._iterator
    if iterator is not None:
        iterator._shutdown_workers()


def _build(job: Job) -> Any:
    """The Runner of a training, which starts from the weights or goes on from the state."""
    import logging

    from mmengine.runner import Runner

    from recycling.backends.mmengine_backend.folded_norms import fold_norms
    from recycling.backends.mmengine_backend.hooks.current_network import network_of

    config, state, start = copy.deepcopy(job.config), state_of(job.work_dir), job.start
    official, config.load_from = config.load_from, None
    if state is not None:
        config.load_from, config.resume = str(state), True
    # In the runner alone: the config is that of the checkpoint.
    if "semi_supervised" in config:
        add_teacher(config)
    try:
        with session.silence():
            runner = Runner.from_cfg(config)
            learner = getattr(network_of(runner), "student", network_of(runner))
            _fit_to_data(learner, job)
            # In the runner alone, too: its config is formatted once.
            loader = copy.deepcopy(config.train_dataloader)
            loader.dataset = {
                "type": "SeededByEpoch",
                "dataset": loader.dataset,
                "seed": job.model.seed,
            }
            runner._train_dataloader = loader
            # Builds the loader now, while what it prints goes nowhere.
            _ = runner.train_loop
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"{job.name}: the model cannot be built: {first_line(error)}") from error
    load = runner.load_or_resume

    def load_start() -> None:
        if state is None and start is not None:
            load_pretrained(learner, start, job.name)
        elif state is None and official is not None:
            load_official(learner, find_official(official), job.name)

    def load_quietly() -> None:
        with session.silence():
            load()
        if not job.model.fold_norms:
            load_start()

    runner.load_or_resume = load_quietly
    if job.model.fold_norms:
        # Before there is an optimiser, which would learn the weights of the norms.
        with session.silence():
            runner._init_model_weights()
        runner._init_model_weights = lambda: None
        load_start()
        fold_norms(network_of(runner), job.name)
    set_memory_format(runner.model, channels_last=job.model.channels_last)
    for handler in list(runner.logger.handlers):
        if type(handler) is logging.StreamHandler:
            runner.logger.removeHandler(handler)
    return runner
