"""Tiny trainings with the settings of what is loaded: augmentation, sampler, picture cache."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.tiny_trainings import data_of, model_of, write_recipe
from recycling.annotations import LabeledImages
from recycling.backends import Checkpoint, Model, Sampler
from recycling.backends.mmengine_backend import adapter, resolve, session
from recycling.backends.mmengine_backend.settings.augmentation import set_augmentation
from recycling.backends.mmengine_backend.settings.picture_cache import set_picture_cache
from recycling.backends.mmengine_backend.settings.sampling import samples_per_epoch, set_sampler
from recycling.backends.mmengine_backend.training_set import TrainingSet, write_training_set

_resolve = resolve.resolve


def resolved(model: Model, recipe: Path, data: TrainingSet, work_dir: Path) -> Any:
    plain = model.model_copy(
        update={"augmentation": None, "sampler": Sampler(), "cache_megabytes": 512}
    )
    config = _resolve(plain, recipe, data, work_dir)
    n_samples = samples_per_epoch(config.train_dataloader.dataset, model, data)
    if n_samples != data.n_samples:
        config = _resolve(plain, recipe, replace(data, n_samples=n_samples), work_dir)
    set_augmentation(config, model, data)
    set_sampler(config, model, data)
    set_picture_cache(config, model, data)
    return config


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings go through `resolved`."""
    monkeypatch.setattr(adapter, "resolve", resolved)


def samples_of(
    backend: str, pictures: LabeledImages, folder: Path, recipe: Path | None = None, **settings: Any
) -> tuple[Any, Any]:
    """The config of a training, and its data set as the loader asks it for samples."""
    from mmengine.registry import DATASETS

    folder.mkdir(parents=True, exist_ok=True)
    model = model_of(backend, **settings)
    recipe = recipe or write_recipe(folder, backend)
    with session.library(backend):
        data = write_training_set(model.task, data_of(pictures), folder / "data")
        config = resolved(model, recipe, data, folder)
        return config, DATASETS.build(config.train_dataloader.dataset)


def sha256(checkpoint: Checkpoint) -> str:
    return str(json.loads((checkpoint.folder / "checkpoint.json").read_text())["weights_sha256"])
