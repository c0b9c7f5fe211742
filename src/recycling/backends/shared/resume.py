"""Going on after a stop: what a training depends on, and where it has got to.

A run's folder holds ``training.json``, what the training depends on, and, after its first whole
epoch, ``state.pth``, from which it goes on. The state is gone when the checkpoint is there. While
``training.lock`` is locked a process trains there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zipfile import BadZipFile, ZipFile

from filelock import FileLock, Timeout
from pydantic import ValidationError

from recycling.backends.core import BackendError, Checkpoint, TrainingData
from recycling.backends.shared.checkpoint_folder import (
    FACTS,
    FORMAT,
    WEIGHTS,
    sha256_of_data,
    snapshot_file,
)
from recycling.backends.shared.ignore_regions import count_ignore_regions
from recycling.backends.shared.model import Model
from recycling.files import is_guarded, new_file, sha256_of, write_json
from recycling.mirrors import MirrorError, send

logger = logging.getLogger(__name__)

IDENTITY = "training.json"
LOCK = "training.lock"
STATE = "state.pth"

LOCK_SECONDS = 20.0
"""How long to wait for a lock: loaders of a training that was killed live on for 5 seconds."""

_LOOK_SECONDS = 1.0

NOT_OF_TRAINING = frozenset(
    {
        "cache_megabytes",
        "folds",
        "options",
        "pretrained",
        "pretrained_sha256",
        "probabilities",
        "resources",
        "score_threshold",
        "skip_if_missing",
        "test_time_augmentation",
        "variant_of",
    }
)
"""Settings that do not change the weights by themselves; options are in the library's config."""

NOT_OF_RESULTS = frozenset(
    {"cache_megabytes", "folds", "resources", "skip_if_missing", "study", "variant_of"}
)
"""Settings that change neither the weights nor what is predicted with them."""

OF_FOLDS = frozenset({"control", "early_stopping", "epochs"})
"""Settings that a training on all images leaves to its folds, which say where theirs change."""

SHOWN = 5
"""Most changes that one line names."""


@dataclass(frozen=True)
class Identity:
    """What a training depends on: two with the same facts give the same weights.

    Attributes:
        facts: Each setting, key of the library's config, version and sha256, by dotted name.
    """

    facts: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Of all the facts."""
        return hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()

    def changes(self, before: Mapping[str, str]) -> str:
        """What is another than `before`, in one line: ``optimizer.learning_rate: 0.01 -> 0.004``.

        A change of a setting makes changes in the library's config; those are not named as well.
        """
        names = [
            name
            for name in sorted({*self.facts, *before})
            if self.facts.get(name) != before.get(name)
        ]
        names = [name for name in names if not name.startswith("recipe.")] or names
        shown = [
            f"{name}: {before.get(name, 'nothing')} -> {self.facts.get(name, 'nothing')}"
            for name in names[:SHOWN]
        ]
        more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
        return ", ".join(shown + more)


def facts_of_data(data: TrainingData, model: Model) -> dict[str, str]:
    """What a training's data say of it besides images and annotations, where they say something.

    Args:
        data: What is trained on.
        model: The settings; ignore regions matter to detectors, the held-out fold to who stops
            early by it.
    """
    facts: dict[str, str] = {}
    if data.images_an_epoch is not None:
        facts["images_an_epoch"] = str(data.images_an_epoch)
    if data.epoch_parts is not None:
        facts["an epoch is as long as"] = f"{data.epoch_parts} of {len(data.train)} parts"
    if model.early_stopping is not None:
        held_out = sha256_of_data(replace(data, train=[data.validation]))
        facts |= {"held-out data": f"sha256 {held_out}", "scored by": str(data.scored_by)}
    if model.task == "det" and (n := count_ignore_regions(data)):
        facts["ignore regions"] = f"{n}, left out of the background"
    return facts


def identity_of(
    model: Model,
    config: Iterable[tuple[str, str]],
    versions: Mapping[str, str],
    *,
    training_data: str,
    start: Path | None,
    left_out: Collection[str] = (),
    besides: Mapping[str, str] = MappingProxyType({}),
) -> Identity:
    """What a training depends on.

    Args:
        model: The settings.
        config: Each key of the library's resolved config that changes the weights, and its value.
        versions: Of the libraries, by name.
        training_data: The sha256 of what is trained on.
        start: The file of the weights that it starts from, if one was given.
        left_out: Settings that do not change the weights with this library.
        besides: What else it depends on, by name.
    """
    settings = model.model_dump(mode="json", exclude={*NOT_OF_TRAINING, *left_out})
    settings["devices"] = model.n_devices  # however many nodes they are on
    facts = {"format": str(FORMAT), **dict(flat(settings))}
    facts["pretrained"] = model.pretrained if start is None else f"sha256 {sha256_of(start)}"
    facts["training data"] = f"sha256 {training_data}"
    facts.update(besides)
    facts.update((f"recipe.{key}", value) for key, value in config)
    facts.update((f"version.{name}", version) for name, version in versions.items())
    return Identity(facts)


@contextmanager
def alone_in(work_dir: Path) -> Iterator[None]:
    """Let no other process train in a run's folder meanwhile.

    Where writing is guarded no lock is taken: a machine that is only thought dead would keep it.

    Args:
        work_dir: The run's folder; it is there.

    Raises:
        BackendError: Another process trains there.
    """
    if is_guarded():
        yield
        return
    try:
        held = FileLock(work_dir / LOCK, timeout=LOCK_SECONDS).acquire()
    except Timeout as error:
        raise BackendError(
            f"{work_dir}: another process is training here; wait until it has ended, or stop it"
        ) from error
    with held:
        yield


def begin(work_dir: Path, identity: Identity) -> Checkpoint | None:
    """Make a run's folder ready for a training, and say on one line what it does with it.

    A state of another training is removed. What a training leaves is given back as it is where
    nothing that it depends on has changed: remove the run's folder to train anew.

    Args:
        work_dir: The run's folder.
        identity: What the training depends on.

    Returns:
        The checkpoint, where this training has ended before.
    """
    known = work_dir / IDENTITY
    before = _read(known)
    checkpoint = Checkpoint(work_dir / "checkpoint")
    if before == identity.facts:
        if _is_whole(checkpoint, identity):
            logger.info("%s: trained before, and nothing has changed", work_dir.name)
            return checkpoint
        if not (work_dir / STATE).exists():
            return None
        if _trained_as(work_dir / STATE) in (None, identity.sha256):
            logger.info("%s: goes on after its last whole epoch", work_dir.name)
            return None
        logger.warning("%s: its state is of another training: trains anew", work_dir.name)
        (work_dir / STATE).unlink()
        share(work_dir)
        return None
    # In this order, so that at no moment a state lies beside what it does not belong to.
    (work_dir / STATE).unlink(missing_ok=True)
    share(work_dir)
    if before is not None:
        logger.warning("%s: trains anew: %s", work_dir.name, identity.changes(before))
    write_json(known, dict(identity.facts))
    return None


def changed_settings(
    checkpoint: Checkpoint, model: Model, besides: Collection[str] = ()
) -> str | None:
    """How a model's settings differ from those that its checkpoint was made with.

    Args:
        checkpoint: The folder; it is there.
        model: The settings now.
        besides: Settings that are not looked at.

    Returns:
        One line, ``epochs: 12 -> 13``, or None where they are the same.
    """
    facts = _read(checkpoint.folder / FACTS) or {}
    if (before_format := facts.get("format", 1)) != FORMAT:
        return f"format of the checkpoint: {before_format} -> {FORMAT}"
    before = facts.get("model", {})
    # A setting that was not there yet had no say: it is as its default.
    with suppress(ValidationError):
        before = Model.model_validate(before).model_dump(mode="json")
    on_all = list(before.get("folds", ())) == ["all"]
    left_out = {*NOT_OF_RESULTS, *besides, *(OF_FOLDS if on_all else ())}
    now = Identity(dict(flat(model.model_dump(mode="json", exclude=left_out))))
    return now.changes(dict(flat(before, left_out))) or None


def flat(
    node: Any, left_out: Collection[str] = frozenset(), name: str = ""
) -> Iterator[tuple[str, str]]:
    """The leaves of nested mappings and lists as text, by dotted name.

    Args:
        node: The outermost one, or a leaf.
        left_out: Keys whose values are left out, however deep.
        name: Its own dotted name.

    >>> dict(flat({"optimizer": {"name": "SGD"}, "folds": [0, 1]}, left_out={"name"}))
    {'folds.0': '0', 'folds.1': '1'}
    """
    if isinstance(node, dict) and node:
        children = [(str(key), child) for key, child in node.items() if key not in left_out]
    elif isinstance(node, (list, tuple)) and node:
        children = [(str(position), child) for position, child in enumerate(node)]
    else:
        yield name, str(node)
        return
    for key, child in children:
        yield from flat(child, left_out, f"{name}.{key}" if name else key)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _is_whole(checkpoint: Checkpoint, identity: Identity) -> bool:
    facts = _read(checkpoint.folder / FACTS) or {}
    weights = checkpoint.folder / WEIGHTS
    snapshots = range(1, (facts.get("model", {}).get("snapshots") or 1))
    return (
        facts.get("trained_as") == identity.sha256
        and weights.is_file()
        and all((checkpoint.folder / snapshot_file(n)).is_file() for n in snapshots)
        and sha256_of(weights) == facts.get("weights_sha256")
    )


def share(work_dir: Path) -> None:
    """Send what a training has written to where other machines go on with it, if they do.

    Args:
        work_dir: The run's folder.
    """
    try:
        send(work_dir)
    except MirrorError as error:
        logger.warning("%s: its state stays on this machine for now: %s", work_dir.name, error)


@contextmanager
def new_state(work_dir: Path, identity: Identity) -> Iterator[Path]:
    """Write the state of a training in the place of the one before, in one move.

    The state says whose it is: with data elsewhere, ``training.json`` beside it may come from
    another machine.

    Args:
        work_dir: The run's folder.
        identity: What the training depends on.

    Yields:
        An empty file for `torch.save`, which writes a zip file.

    Raises:
        OSError: It cannot be written; the one before is still there.
    """
    with new_file(work_dir / STATE) as unfinished:
        yield unfinished
        with ZipFile(unfinished, "a") as file:
            file.comment = identity.sha256.encode()


def _trained_as(state: Path) -> str | None:
    """The sha256 of the training that a state is of; None for one of an earlier version."""
    try:
        with ZipFile(state) as file:
            return file.comment.decode() or None
    except (BadZipFile, UnicodeDecodeError):
        return None


@contextmanager
def sharing(folder: Path) -> Iterator[None]:
    """Share what other processes write meanwhile, each time that one of them has kept a state.

    Processes that this one starts know of no folder elsewhere.

    Args:
        folder: The run's folder, or one that those of several runs are in.
    """
    over = threading.Event()

    def share_each_state(shared: dict[Path, int]) -> None:
        while not over.wait(_LOOK_SECONDS):
            if (found := _states_in(folder)) != shared:
                share(folder)
                shared = found

    thread = threading.Thread(target=share_each_state, args=(_states_in(folder),), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _states_in(folder: Path) -> dict[Path, int]:
    """When each state in a folder was kept."""
    found = {}
    for parent, _, files in os.walk(folder):
        if STATE in files:
            with suppress(FileNotFoundError):  # its training has just ended
                found[Path(parent)] = Path(parent, STATE).stat().st_mtime_ns
    return found


def state_of(work_dir: Path) -> Path | None:
    """The state that a training goes on from, if there is one."""
    path = work_dir / STATE
    return path if path.exists() else None


def end(work_dir: Path) -> None:
    """Remove the state of a training whose checkpoint is there."""
    (work_dir / STATE).unlink(missing_ok=True)
