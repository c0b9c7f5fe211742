"""The folder that a training leaves and a prediction starts from, whichever library trained."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, Checkpoint, TrainingData
from recycling.backends.shared.model import Model
from recycling.errors import cut
from recycling.files import new_folder, sha256_of
from recycling.limits import LARGEST_FACTS, check_bytes
from recycling.placeholders import read_bytes

WEIGHTS = "weights.pth"
FACTS = "checkpoint.json"

FORMAT = 3
"""Of what a checkpoint says: its settings, and the paths of the modules that its config names.

Without a number (1): before a loss had settings of its own, and networks and losses moved.
"""

_BATCH = 4096
"""Images that wait for a thread at a time."""


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


def snapshot_file(number: int) -> str:
    """The name of the file of a snapshot's weights, in the checkpoint of its training.

    >>> snapshot_file(1)
    'snapshot1.pth'
    """
    return f"snapshot{number}.pth"


def categories_of(data: TrainingData) -> list[dict[str, Any]]:
    """The categories as a checkpoint lists them, in the order of class indices."""
    return [
        {"category_id": category_id, "name": name}
        for category_id, name in zip(data.class_of, data.class_names, strict=True)
    ]


def write_checkpoint(
    folder: Path,
    trained: Trained,
    weights: Mapping[str, Any],
    config_name: str,
    config: str,
    snapshots: Sequence[Mapping[str, Any]] = (),
) -> Checkpoint:
    """Write a checkpoint; the folder appears whole or not at all.

    Args:
        folder: Where; what was there is replaced.
        trained: What to say about it.
        weights: The state dict.
        config_name: The name of the file for the library's resolved config.
        config: What goes into that file.
        snapshots: The state dicts of its snapshots.

    Raises:
        BackendError: There is no room for it; what was there before is kept.
    """
    import torch

    files = {WEIGHTS: weights}
    files |= {snapshot_file(n): snapshot for n, snapshot in enumerate(snapshots, 1)}
    try:
        with new_folder(folder) as unfinished:
            for name, state in files.items():
                tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
                # Given a path, torch would hide why it could not write.
                with (unfinished / name).open("wb") as file:
                    torch.save(tensors, file)
            (unfinished / config_name).write_text(config, encoding="utf-8")
            facts = {
                "format": FORMAT,
                "model": trained.model.model_dump(mode="json"),
                "categories": trained.categories,
                **trained.facts,
                "weights_sha256": sha256_of(unfinished / WEIGHTS),
            }
            content = json.dumps(facts, indent=2) + "\n"
            (unfinished / FACTS).write_text(content, encoding="utf-8")
    except OSError as error:
        raise no_room(folder, error) from error
    return Checkpoint(folder)


def read_facts(checkpoint: Checkpoint, config_name: str) -> Trained:
    """What a checkpoint says about itself.

    Args:
        checkpoint: The folder.
        config_name: The name of the library's config in it.

    Raises:
        BackendError: The folder is no checkpoint, is not whole, or is of another format.
    """
    path = checkpoint.folder / FACTS
    _check_there(checkpoint, FACTS)
    try:
        check_bytes(path.stat().st_size, LARGEST_FACTS)
        facts = json.loads(path.read_text(encoding="utf-8"))
        format_of_facts = facts.pop("format", 1)
        if format_of_facts != FORMAT:
            raise _other_format(checkpoint, format_of_facts)
        categories = [
            {"category_id": int(each["category_id"]), "name": str(each["name"])}
            for each in facts.pop("categories")
        ]
        trained = Trained(Model(**facts.pop("model")), categories, facts)
    except (
        AttributeError,
        LookupError,
        OverflowError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise BackendError(
            f"{path}: not a checkpoint's description; train the model again"
        ) from error
    _check_there(checkpoint, config_name, WEIGHTS)
    return trained


def with_prediction_settings(trained: Trained, settings: Mapping[str, Any]) -> Trained:
    """The same model, predicting with other settings.

    Args:
        trained: What its checkpoint says.
        settings: Those of the model that differ.
    """
    return replace(trained, model=trained.model.model_copy(update=dict(settings)))


def _check_there(checkpoint: Checkpoint, *names: str) -> None:
    for name in names:
        if not (checkpoint.folder / name).is_file():
            raise BackendError(f"{checkpoint.folder}: no {name}; train the model again")


def _other_format(checkpoint: Checkpoint, found: object) -> BackendError:
    run = checkpoint.folder.parent.name if checkpoint.folder.name == "checkpoint" else "MODEL"
    if re.fullmatch(r"fold\d+|all", run):
        run = ".".join(checkpoint.folder.parts[-4:-1])
    return BackendError(
        f"{checkpoint.folder}: a checkpoint of format {cut(str(found))}, of another version of "
        f"the project, which reads format {FORMAT}; train the model again: kedro run "
        f"--namespaces {run}"
    )


def with_settings(ended: Checkpoint, model: Model, config_name: str, config: str) -> Checkpoint:
    """A checkpoint whose training is as asked, with the settings of prediction as asked.

    Those of the library's config count, too: a recipe may have changed them.

    Args:
        ended: What the training left.
        model: The settings that are asked for.
        config_name: As of `write_checkpoint`.
        config: As of `write_checkpoint`.
    """
    import torch

    trained = read_facts(ended, config_name)
    kept = (ended.folder / config_name).read_bytes()
    if trained.model == model and kept == config.encode():
        return ended
    facts = {key: value for key, value in trained.facts.items() if key != "weights_sha256"}
    files = [WEIGHTS, *(snapshot_file(n) for n in range(1, model.snapshots or 1))]
    weights, *snapshots = (
        torch.load(ended.folder / name, map_location="cpu", weights_only=True) for name in files
    )
    again = Trained(model, trained.categories, facts)
    return write_checkpoint(ended.folder, again, weights, config_name, config, snapshots)


def sha256_of_data(data: TrainingData) -> str:
    """Of all that a training learns from: the tables, and each image by its bytes.

    Neither the images' folders, which differ by machine, nor their times count. Whoever opens an
    image says what is wrong with one that cannot be read.
    """
    digest = hashlib.sha256(data.categories.to_csv(index=False).encode())
    with ThreadPoolExecutor() as threads:
        for labeled in data.train:
            for table in (labeled.annotations.images, labeled.annotations.annotations):
                digest.update(table.to_csv(index=False).encode())
            paths = [labeled.folder.path / name for name in labeled.annotations.images["file_name"]]
            for start in range(0, len(paths), _BATCH):
                for sha256 in threads.map(_sha256_of_image, paths[start : start + _BATCH]):
                    digest.update(sha256)
    return digest.hexdigest()


def _sha256_of_image(path: Path) -> bytes:
    try:
        facts = path.stat()
        return _sha256_of_content(path, facts.st_size, facts.st_mtime_ns)
    except (OSError, ValueError):  # a null character in the name
        return b"not there"


@lru_cache(maxsize=2**17)
def _sha256_of_content(path: Path, size: int, modified: int) -> bytes:
    """Of a file of that size and time: the folds of a run share most of their images."""
    return hashlib.sha256(read_bytes(path)).digest()


def no_room(path: Path, error: OSError) -> BackendError:
    """The error of a file that could not be written."""
    return BackendError(
        f"{path}: could not be written: {error.strerror or error}; what was there before is "
        "kept: make room and start again"
    )
