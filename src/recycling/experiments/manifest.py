"""What a run was, did and gave: a folder of plain files for each, written as the run goes.

``manifest.json`` says it; ``made/`` holds the record of every output (what it was made of), and
``kept/`` what a comparison reads: predictions, truth, scores and checkpoints, by the names of their
datasets. These are links to the same files, which take no room until a later run writes others;
where all data are elsewhere, they are copies there.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from recycling.files import clear_leftovers, write_json

FORMAT = 1
MANIFEST, MADE, KEPT = "manifest.json", "made", "kept"

State = Literal["running", "completed", "failed", "stopped", "killed"]


class ExperimentError(ValueError):
    """Runs cannot be listed or compared as asked: one line, which, what is wrong, what to do."""


@dataclass(frozen=True)
class NodeRun:
    """One node of a run.

    Attributes:
        name: The node's.
        seconds: From before its inputs were loaded until its outputs were saved.
        outputs: The datasets that it made and that outlive the run.
        memory_mb: The most memory that the process had used until then, MiB.
    """

    name: str
    seconds: float
    outputs: tuple[str, ...]
    memory_mb: float


@dataclass(frozen=True)
class Manifest:
    """What a run was, did and gave.

    Attributes:
        run_id: When it began, to the millisecond; the name of its folder.
        asked: The options of the command that were given.
        started: ISO 8601, UTC.
        ended: The same; None while it runs, and of a run that was killed.
        state: A run is stopped by Ctrl-C; it was killed where its process is gone without an end.
        error: Why it failed, on one line.
        name: What a user called it.
        commit: Of git; None outside of it.
        changed: Files of git that were not as that commit has them, the first ten.
        machine: System, processor, cores, memory, accelerator.
        versions: Of Python and the libraries.
        parameters: All of them, resolved.
        sources: By parameter, with dots, the file and line that it is set in.
        nodes: What has run, in that order.
        failed: Why, on one line, by the name of each node that could not be run.
        skipped: The nodes that need what those were to make.
        up_to_date: How many outputs a run with `--only-missing-outputs` did not make again.
        scores: By dataset: metric, score, interval, by class, and other figures.
        trainings: By dataset of a checkpoint what it says of its training.
        data_versions: By dataset with ``versioned: true``, the version that it took or made.
        warnings: What was warned of, each line once.
    """

    run_id: str
    asked: dict[str, Any]
    started: str
    ended: str | None = None
    state: State = "running"
    error: str | None = None
    name: str | None = None
    commit: str | None = None
    changed: tuple[str, ...] = ()
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    nodes: tuple[NodeRun, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    up_to_date: int = 0
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    trainings: dict[str, dict[str, Any]] = field(default_factory=dict)
    data_versions: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def minutes(self) -> float | None:
        """How long it took; None where its end is not known."""
        if self.ended is None:
            return None
        took = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)
        return took.total_seconds() / 60

    @property
    def memory_mb(self) -> float | None:
        """The most memory that its process has used, MiB."""
        return max((node.memory_mb for node in self.nodes), default=None)

    @property
    def is_clean(self) -> bool | None:
        """Whether the files were as its commit has them; None outside of git."""
        return None if self.commit is None else not self.changed


@dataclass(frozen=True)
class ManifestFolder:
    """The folder of one run.

    Attributes:
        path: On this machine.
        address: Where the one elsewhere is that it mirrors, if it mirrors one.
    """

    path: Path
    address: str | None = None

    @property
    def made(self) -> Path:
        """The folder of the records of outputs."""
        return self.path / MADE

    @property
    def kept(self) -> Path:
        """The folder of what a comparison reads."""
        return self.path / KEPT

    def write(self, manifest: Manifest) -> None:
        """Write the manifest, whole."""
        write_json(self.path / MANIFEST, {"format": FORMAT, **asdict(manifest)})

    def read(self) -> Manifest:
        """Read the manifest.

        Raises:
            ExperimentError: There is none, or it is none that this version knows.
        """
        path = self.path / MANIFEST
        try:
            facts = json.loads(path.read_bytes())
            if facts.pop("format") != FORMAT:
                raise ExperimentError(f"{path}: is of another version of the project; remove it")
            nodes = tuple(
                NodeRun(**{**node, "outputs": tuple(node["outputs"])}) for node in facts["nodes"]
            )
            # Earlier runs had nothing to skip: they stopped.
            facts = {"skipped": [], **facts}
            lists = {key: tuple(facts[key]) for key in ("changed", "skipped", "warnings")}
            manifest = Manifest(**{**facts, **lists, "nodes": nodes})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ExperimentError):
                raise
            raise ExperimentError(f"{path}: not the manifest of a run; remove it") from error
        if manifest.state == "running" and not self._is_running():
            manifest = replace(manifest, state="killed")
        return manifest

    def lock(self) -> int:
        """Say that the run goes on, until this process ends or `unlock` is called.

        Returns:
            What `unlock` takes.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY)
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor

    def _is_running(self) -> bool:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False


def unlock(descriptor: int) -> None:
    """Say that a run has ended; see `ManifestFolder.lock`."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


@dataclass(frozen=True)
class Runs:
    """The folder of all runs.

    Attributes:
        path: On this machine.
        address: Where the one elsewhere is that it mirrors, if it mirrors one.

    Example:
        >>> Runs(getfixture("tmp_path")).all()
        {}
    """

    path: Path
    address: str | None = None

    def folder(self, run_id: str) -> ManifestFolder:
        """The folder of a run, which need not be there."""
        address = None if self.address is None else f"{self.address.rstrip('/')}/{run_id}"
        return ManifestFolder(self.path / run_id, address)

    def new_id(self) -> str:
        """A name that no run has: the time, as Kedro writes it."""
        now = datetime.now(UTC)
        return f"{now:%Y-%m-%dT%H.%M.%S}.{now.microsecond // 1000:03d}Z"

    def all(self) -> dict[str, Manifest]:
        """The manifest of every run by its id, the oldest first.

        Raises:
            ExperimentError: One cannot be read.
        """
        found = sorted(path.parent.name for path in self.path.glob(f"*/{MANIFEST}"))
        return {run_id: self.folder(run_id).read() for run_id in found}

    def clear(self) -> None:
        """Remove what runs that were killed have left half-written in folders of their own.

        Raises:
            ExperimentError: A manifest cannot be read.
        """
        for path in self.path.glob("*"):
            folder = self.folder(path.name)
            # One without a manifest was killed before its first, or begins at this moment.
            if not (path / MANIFEST).exists() or folder.read().state == "killed":
                clear_leftovers(path)

    def find(self, wanted: str) -> Manifest:
        """The run of that name, id or beginning of an id; `latest`, `latest~1`, and so on.

        Raises:
            ExperimentError: There is none, or more than one.
        """
        runs = self.all()
        if not runs:
            raise ExperimentError(
                f"{self.path}: no run has left a manifest yet; kedro run makes one"
            )
        newest = list(runs.values())[::-1]
        word, _, back = wanted.partition("~")
        if word == "latest" and (back or "0").isdigit():
            if int(back or 0) >= len(newest):
                raise ExperimentError(f"no run {wanted!r}; there are {len(newest)}")
            return newest[int(back or 0)]
        named = [run for run in newest if run.name == wanted]
        if named:
            return named[0]
        like = [run for run_id, run in runs.items() if run_id.startswith(wanted)]
        if len(like) == 1:
            return like[0]
        what = "no run" if not like else f"{len(like)} runs"
        ids = ", ".join(run.run_id for run in (like or newest)[:3])
        raise ExperimentError(f"{what} {wanted!r}; there are {ids}; kedro experiments lists all")

    def rename(self, run_id: str, name: str) -> None:
        """Call a run `name`, so that it is found by it and its checkpoints are kept.

        Raises:
            ExperimentError: Another run is called so, or there is no such run.
        """
        manifest = self.find(run_id)
        taken = [run for run in self.all().values() if run.name == name]
        if taken and taken[0].run_id != manifest.run_id:
            raise ExperimentError(f"{taken[0].run_id} is called {name!r}; choose another name")
        stored = manifest if manifest.state != "killed" else replace(manifest, state="running")
        self.folder(manifest.run_id).write(replace(stored, name=name))


def flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their whole name, with dots; lists stay whole.

    >>> flat({"a": {"b": 1, "c": [1, 2]}, "d": {}})
    {'a.b': 1, 'a.c': [1, 2], 'd': {}}
    """
    found: dict[str, Any] = {}
    for key, value in parameters.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found
