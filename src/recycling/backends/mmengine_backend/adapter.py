"""The adapter: a model's settings in, calls of mmengine's Runner, a checkpoint out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from recycling.backends.core import (
    BackendError,
    Checkpoint,
    Images,
    TrainingData,
)
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.checkpoint import (
    CONFIG,
    Trained,
    load_pretrained,
    read_facts,
    read_weights,
    write_checkpoint,
)
from recycling.backends.mmengine_backend.prediction import (
    MAX_SIDE_OF_LOGITS,
    Network,
    predict,
)
from recycling.backends.mmengine_backend.resolve import first_line, resolve
from recycling.backends.mmengine_backend.training_set import write_training_set
from recycling.backends.model import Model
from recycling.predictions import Predictions
from recycling.progress import progress_bar


class MMEngineBackend:
    """Trains and predicts with mmpretrain, mmdet or mmseg.

    Args:
        name: Which of the three.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def train(self, model: Model, recipe: Path, data: TrainingData, work_dir: Path) -> Checkpoint:
        """Train `model`, built from the config file `recipe`, on `data`.

        Args:
            model: The settings.
            recipe: A config in mmengine's language; see `resolve`.
            data: What to train on; the held-out fold is not looked at.
            work_dir: Gets the annotation file, the library's logs and ``checkpoint/``.

        Raises:
            BackendError: A setting, the recipe or the data cannot be used, an image cannot be
                read, or the loss is no longer a number.
        """
        work_dir.mkdir(parents=True, exist_ok=True)
        training_set = write_training_set(model.task, data, work_dir / "data")
        with session.library(self.name, log=work_dir / "warnings.log"):
            config = resolve(model, recipe, training_set, work_dir)
            weights, facts = _run(model, config, name=work_dir.name)
            facts["training_sha256"] = training_set.sha256
            facts["n_samples"] = training_set.n_samples
            facts["libraries"] = session.versions(self.name)
            categories = [
                {"category_id": category_id, "name": name}
                for category_id, name in zip(
                    data.categories["category_id"].tolist(),
                    data.categories["name"].tolist(),
                    strict=True,
                )
            ]
            trained = Trained(model, categories, facts)
            return write_checkpoint(work_dir / "checkpoint", trained, config, weights)

    def predict(self, checkpoint: Checkpoint, images: Images) -> Predictions:
        """Predict on `images`, in the project's formats.

        Args:
            checkpoint: The folder that `train` made; nothing else is needed.
            images: What to predict on; for a classifier with `crops`.

        Raises:
            BackendError: The folder is no whole checkpoint, or an image cannot be read.
        """
        trained = read_facts(checkpoint)
        with session.library(self.name):
            return predict(_network(checkpoint, trained), images)


def _run(model: Model, config: Any, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train, and give the weights and the figures of the training."""
    from recycling.backends.mmengine_backend.watch import (
        ProgressLine,
        StartFrom,
        StopAtFailingLoss,
    )

    runner = _build(config, name)
    guard = StopAtFailingLoss(name)
    runner.register_hook(guard)
    if model.pretrained not in ("none", "default"):
        start = Path(model.pretrained)
        runner.register_hook(StartFrom(lambda network: load_pretrained(network, start)))
    began = time.perf_counter()
    with progress_bar() as progress:
        runner.register_hook(ProgressLine(progress, "training"))
        try:
            runner.train()
        except BackendError as error:
            # A loader process wraps what it raises in its own traceback.
            last = str(error).strip().splitlines()[-1]
            raise BackendError(last.split("BackendError: ")[-1]) from error
    seconds = time.perf_counter() - began
    n_images = runner.max_iters * model.batch_size
    facts = {
        "seconds": round(seconds, 3),
        "images_per_second": round(n_images / seconds, 2),
        "iterations": runner.max_iters,
        "last_loss": guard.loss,
    }
    return _final_weights(runner), facts


def _build(config: Any, name: str) -> Any:
    import logging

    from mmengine.runner import Runner

    try:
        with session.silence():
            runner = Runner.from_cfg(config)
            session.lay_out(runner.model)
            # Builds the loader now, while what it prints goes nowhere.
            _ = runner.train_loop
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"{name}: the model cannot be built: {first_line(error)}") from error
    for handler in list(runner.logger.handlers):
        if type(handler) is logging.StreamHandler:
            runner.logger.removeHandler(handler)
    return runner


def _final_weights(runner: Any) -> dict[str, Any]:
    """The averaged weights where the recipe averages, else the last ones."""
    from mmengine.hooks import EMAHook

    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            return dict(hook.ema_model.module.state_dict())
    return dict(runner.model.state_dict())


def _network(checkpoint: Checkpoint, trained: Trained) -> Network:
    import torch
    from mmengine.config import Config
    from mmengine.dataset import Compose, pseudo_collate
    from mmengine.registry import MODELS

    with session.silence():
        config = Config.fromfile(str(checkpoint.folder / CONFIG))
        network = MODELS.build(config.model)
        pipeline = Compose(config.test_pipeline)
    try:
        network.load_state_dict(read_weights(checkpoint.folder))
    except RuntimeError as error:
        raise BackendError(
            f"{checkpoint.folder}: its weights are not those of its config; train the model again"
        ) from error
    session.lay_out(network)
    network.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def predict_batch(samples: list[dict[str, Any]]) -> list[Any]:
        packed = [pipeline(sample) for sample in samples]
        for sample in packed:
            _limit_size(sample["data_samples"])
        with torch.no_grad():
            return list(network.test_step(pseudo_collate(packed)))

    return Network(predict_batch, trained)


def _limit_size(sample: Any) -> None:
    """Let mmseg give maps of at most `MAX_SIDE_OF_LOGITS` pixels a side."""
    height, width = sample.ori_shape
    shrink = MAX_SIDE_OF_LOGITS / max(height, width)
    if type(sample).__name__ == "SegDataSample" and shrink < 1:
        sample.set_metainfo({"ori_shape": (round(height * shrink), round(width * shrink))})
