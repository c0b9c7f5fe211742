"""The folder that a training leaves and a prediction starts from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, Checkpoint, TrainingData
from recycling.backends.detectron2_backend.resolve import best_device
from recycling.backends.detectron2_backend.session import one_line
from recycling.backends.model import Model

WEIGHTS = "weights.pth"
CONFIG = "config.yaml"
FACTS = "checkpoint.json"


@dataclass(frozen=True)
class Trained:
    """What `checkpoint.json` says.

    Attributes:
        model: The settings.
        categories: `category_id` and `name` of each category, in the order of class indices.
        facts: Seconds, loss, throughput, the sha256 of the training data, versions.
    """

    model: Model
    categories: list[dict[str, Any]]
    facts: Mapping[str, Any]


def categories_of(data: TrainingData) -> list[dict[str, Any]]:
    """The categories as a checkpoint lists them, in the order of class indices."""
    table = data.categories
    return [
        {"category_id": int(category_id), "name": str(name)}
        for category_id, name in zip(table["category_id"], table["name"], strict=True)
    ]


def sha256_of(data: TrainingData) -> str:
    """Of all that a training sees except the pictures' folders, which differ by machine."""
    digest = hashlib.sha256(data.categories.to_csv(index=False).encode())
    for part in data.train:
        for table in (part.annotations.images, part.annotations.annotations):
            digest.update(table.to_csv(index=False).encode())
    return digest.hexdigest()


def write_checkpoint(
    folder: Path, trained: Trained, config: Any, weights: Mapping[str, Any]
) -> Checkpoint:
    """Write a checkpoint; the folder appears whole or not at all.

    Args:
        folder: Where; what was there is replaced.
        trained: What to say about it.
        config: The resolved ``CfgNode``.
        weights: The state dict.
    """
    import torch

    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()},
        unfinished / WEIGHTS,
    )
    (unfinished / CONFIG).write_text(config.dump(), encoding="utf-8")
    facts = {
        "model": trained.model.model_dump(mode="json"),
        "categories": trained.categories,
        **trained.facts,
        "weights_sha256": hashlib.sha256((unfinished / WEIGHTS).read_bytes()).hexdigest(),
    }
    (unfinished / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return Checkpoint(folder)


def load_trained(checkpoint: Checkpoint) -> tuple[Any, Any, Trained]:
    """The config, the network ready to predict, and what the checkpoint says about itself.

    Raises:
        BackendError: The folder is no checkpoint, or is not whole.
    """
    import torch
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    for name in (WEIGHTS, CONFIG, FACTS):
        if not (checkpoint.folder / name).is_file():
            raise BackendError(f"{checkpoint.folder}: no {name}; train the model again")
    trained = _read_facts(checkpoint)
    try:
        config = get_cfg()
        config.merge_from_file(str(checkpoint.folder / CONFIG), allow_unsafe=False)
        config.MODEL.DEVICE = trained.model.options.get("MODEL.DEVICE", best_device())
        network = build_model(config)
        weights = torch.load(checkpoint.folder / WEIGHTS, map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
    except Exception as error:  # YAML's, yacs's, torch's and pickle's have nothing in common
        raise BackendError(
            f"{checkpoint.folder}: cannot be used: {one_line(error)}; train the model again"
        ) from error
    return config, network.eval(), trained


def _read_facts(checkpoint: Checkpoint) -> Trained:
    path = checkpoint.folder / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return Trained(Model(**facts.pop("model")), facts.pop("categories"), facts)
    except (KeyError, TypeError, ValueError) as error:
        raise BackendError(
            f"{path}: not a checkpoint's description; train the model again"
        ) from error
