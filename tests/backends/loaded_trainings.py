"""What a training's loader gives, with the settings of a test, and what its weights are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backends.tiny_trainings import data_of, model_of, write_recipe
from recycling.annotations import LabeledImages
from recycling.backends import Checkpoint
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.data.training_set import write_training_set
from recycling.backends.mmengine_backend.resolve import resolve


def samples_of(
    backend: str, pictures: LabeledImages, folder: Path, of_recipe: str = "", **settings: Any
) -> tuple[Any, Any]:
    """The config of a training, and its data set as the loader asks it for samples.

    `of_recipe` are further lines of the recipe.
    """
    from mmengine.registry import DATASETS

    folder.mkdir(parents=True, exist_ok=True)
    model = model_of(backend, **settings)
    recipe = write_recipe(folder, backend)
    recipe.write_text(recipe.read_text() + of_recipe)
    with session.library(backend):
        data = write_training_set(model.task, data_of(pictures), folder / "data")
        config = resolve(model, recipe, data, folder)
        return config, DATASETS.build(config.train_dataloader.dataset)


def sha256(checkpoint: Checkpoint) -> str:
    """Of the weights."""
    return str(json.loads((checkpoint.folder / "checkpoint.json").read_text())["weights_sha256"])
