"""The folder that a training leaves and a prediction starts from."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, Checkpoint
from recycling.backends.model import Model

WEIGHTS = "weights.pth"
CONFIG = "config.py"
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


def write_checkpoint(
    folder: Path, trained: Trained, config: Any, weights: Mapping[str, Any]
) -> Checkpoint:
    """Write a checkpoint; the folder appears whole or not at all.

    Args:
        folder: Where; what was there is replaced.
        trained: What to say about it.
        config: The resolved ``mmengine.Config``.
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
    config.dump(str(unfinished / CONFIG))
    facts = {
        "model": trained.model.model_dump(mode="json"),
        "categories": trained.categories,
        **trained.facts,
        "weights_sha256": hashlib.sha256((unfinished / WEIGHTS).read_bytes()).hexdigest(),
    }
    (unfinished / FACTS).write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return Checkpoint(folder)


def read_facts(checkpoint: Checkpoint) -> Trained:
    """What a checkpoint says about itself.

    Raises:
        BackendError: The folder is no checkpoint, or is not whole.
    """
    for name in (WEIGHTS, CONFIG, FACTS):
        if not (checkpoint.folder / name).is_file():
            raise BackendError(f"{checkpoint.folder}: no {name}; train the model again")
    try:
        facts = json.loads((checkpoint.folder / FACTS).read_text())
        return Trained(Model(**facts.pop("model")), facts.pop("categories"), facts)
    except (KeyError, TypeError, ValueError) as error:
        raise BackendError(
            f"{checkpoint.folder / FACTS}: not a checkpoint's description; train the model again"
        ) from error


def read_weights(path: Path) -> dict[str, Any]:
    """The state dict in a file, or in a checkpoint's folder; no code in it is run.

    Raises:
        BackendError: There is none, or the file holds more than tensors.
    """
    import torch

    file = path / WEIGHTS if path.is_dir() else path
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise BackendError(f"{file}: {error.strerror or error}; check the path") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise BackendError(f"{file}: not a file of plain tensors; it is not loaded") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BackendError(f"{file}: no state dict of tensors in it; it is not loaded")
    return dict(state)


def load_pretrained(network: Any, path: Path) -> None:
    """Put the weights in `path` into a network, but for layers of another shape (the classes').

    Raises:
        BackendError: Neither its backbone's nor half of the network's weights are there: it is
            another model's.
    """
    own = network.state_dict()
    fitting = {
        name: tensor
        for name, tensor in read_weights(path).items()
        if name in own and own[name].shape == tensor.shape
    }
    backbone = {name for name in own if name.startswith("backbone.")}
    if 2 * len(fitting) < len(own) and not (backbone and backbone <= set(fitting)):
        raise BackendError(
            f"{path}: only {len(fitting)} of the network's {len(own)} weights are in it; "
            "it belongs to another model"
        )
    network.load_state_dict(fitting, strict=False)
