"""What a training with mmengine depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.shared.checkpoint_folder import sha256_of
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import NOT_OF_TRAINING, Identity, flat

NOT_OF_CONFIG = frozenset(
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


def identity_of(
    model: Model,
    config: Any,
    data: TrainingSet,
    versions: Mapping[str, str],
    start: Path | None,
) -> Identity:
    """What a training depends on.

    Args:
        model: The settings.
        config: The resolved ``mmengine.Config``.
        data: What is trained on.
        versions: Of the libraries, by name.
        start: The file of the weights that it starts from, if one was given.
    """
    settings = model.model_dump(mode="json", exclude=set(NOT_OF_TRAINING))
    facts = dict(flat(settings))
    facts["pretrained"] = model.pretrained if start is None else f"sha256 {sha256_of(start)}"
    facts["training data"] = f"sha256 {data.sha256}"
    for key, value in flat(config.to_dict(), NOT_OF_CONFIG):
        facts[f"recipe.{key}"] = value
    for name, version in versions.items():
        facts[f"version.{name}"] = version
    return Identity(facts)
