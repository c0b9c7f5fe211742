"""Writes what a run was, did and gave, while it goes."""

from __future__ import annotations

import logging
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import RLock
from time import perf_counter
from typing import Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from recycling.backends import Checkpoint
from recycling.datasets import (
    AnnotationsDataset,
    CheckpointDataset,
    LabelMapsDataset,
    MetricsDataset,
    PathDataset,
    RunsDataset,
    TableDataset,
)
from recycling.datasets.kept import kept_by
from recycling.errors import line_of, listed, one_line
from recycling.evaluation import Metrics
from recycling.experiments import (
    Experiments,
    Manifest,
    NodeRun,
    Runs,
    checkpoints_to_remove,
    flat,
    unlock,
)
from recycling.files import link
from recycling.fingerprints import Records, library_versions
from recycling.fingerprints.records import now
from recycling.hooks.up_to_date import records_folder
from recycling.plan.parameters import lines_of
from recycling.runners import NodesFailedError, RunStoppedError

logger = logging.getLogger(__name__)

RUNS = "run_manifests"
"""The catalog entry of the folder of runs; a project without it keeps none."""

KEPT_TABLES = ("detections", "class_probabilities", "folds")
KEPT_TYPES = (AnnotationsDataset, CheckpointDataset, LabelMapsDataset, MetricsDataset)
"""What a comparison reads."""

MOST_WARNINGS = 1000


class ManifestHooks:
    """Keeps a manifest of each run, and what later runs are compared with.

    Args:
        records: The folder of the records of outputs; by default that of the project.
        parameters: By default those of the project.
    """

    def __init__(
        self, records: Path | None = None, parameters: Mapping[str, Any] | None = None
    ) -> None:
        self._run: _ManifestOfRun | None = None
        self._notebook: _Notebook | None = None
        self._records, self._parameters = records, parameters
        self._sources: dict[str, str] = {}
        self._project = Path()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is, and what its parameters are."""
        config = cast(OmegaConfigLoader, context.config_loader)
        self._records, self._parameters = records_folder(context), config["parameters"]
        self._sources = lines_of(config)
        self._project = Path(context.project_path)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Begin the manifest."""
        dataset = catalog.get(RUNS)
        if not isinstance(dataset, RunsDataset) or self._records is None:
            return
        runs = dataset.load()
        runs.clear()
        self._notebook = _Notebook(catalog)
        first = _first(run_params, self._parameters or {}, self._sources, self._project)
        run_id = str(run_params.get("run_id") or runs.new_id())
        self._run = _ManifestOfRun(
            runs, replace(first, run_id=run_id), pipeline, catalog, Records(self._records)
        )

    @hook_impl
    def before_run_on_worker(self, catalog: DataCatalog) -> None:
        """Take notes, for the manifest that is written where the run is led."""
        self._run, self._notebook = None, _Notebook(catalog)

    @hook_impl
    def before_node_sent(self, node: Node) -> None:
        """Keep what a worker will take."""
        if self._run is not None:
            for name in node.inputs:
                self._run.took(name)

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Keep what a node takes; it begins."""
        if self._run is not None:
            self._run.took(dataset_name)
        if self._notebook is not None:
            self._notebook.begin(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """The same for a node that takes nothing."""
        if self._notebook is not None:
            self._notebook.begin(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Note what a node made, and keep it after its last output."""
        if self._notebook is not None:
            self._notebook.saved(dataset_name, data, node)
            if self._run is not None and (notes := self._notebook.notes(node)) is not None:
                self._run.take(node, notes)

    @hook_impl
    def notes_of_node(self, node: Node) -> dict[str, Any] | None:
        """What a worker has noted of a node that it has run."""
        notes = self._notebook.notes(node) if self._notebook is not None else None
        return None if notes is None else {"manifest": asdict(notes)}

    @hook_impl
    def after_node_returned(
        self, node: Node, notes: Mapping[str, Any], error: Exception | None
    ) -> None:
        """Keep what a node has made on a worker."""
        if self._run is not None and "manifest" in notes:
            self._run.take(node, _Notes(**notes["manifest"]))
        if self._run is not None and error is not None:
            self._run.failed(node, error)

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """A node has failed; the run may go on."""
        if self._run is not None:
            self._run.failed(node, error)

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """The run has failed, or was stopped."""
        if self._run is not None:
            state = "stopped" if isinstance(error, RunStoppedError) else "failed"
            skipped = error.skipped if isinstance(error, NodesFailedError) else ()
            try:
                self._run.end(state, one_line(error), skipped)
            except OSError as second:  # on a full disk; what failed first is what is to be seen
                logger.warning("the run's manifest could not be written: %s", second)
        self._run = None

    @hook_impl
    def after_pipeline_run(self) -> None:
        """The run has come to its end."""
        if self._run is not None:
            self._run.end("completed")
        self._run = None


@dataclass
class _Notes:
    """What a manifest says of one node."""

    seconds: float = 0.0
    memory_mb: float = 0.0
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    trainings: dict[str, dict[str, Any]] = field(default_factory=dict)


class _Notebook:
    """What is noted of nodes where they run."""

    def __init__(self, catalog: DataCatalog) -> None:
        self._catalog = catalog
        self._began: dict[str, float] = {}
        self._saved: dict[str, set[str]] = {}
        self._notes: dict[str, _Notes] = {}

    def begin(self, node: Node) -> None:
        """Note when a node began."""
        self._began.setdefault(node.name, perf_counter())

    def saved(self, name: str, data: Any, node: Node) -> None:
        """Note an output."""
        notes = self._notes.setdefault(node.name, _Notes())
        if isinstance(data, Metrics):
            notes.scores[name] = data.to_dict()
        if isinstance(data, Checkpoint):
            notes.trainings[name] = data.facts
        self._saved.setdefault(node.name, set()).add(name)

    def notes(self, node: Node) -> _Notes | None:
        """Those of a node whose last output is saved."""
        if not self._saved.get(node.name, set()).issuperset(node.outputs):
            return None
        self._saved.pop(node.name, None)
        notes = self._notes.pop(node.name, _Notes())
        began = self._began.pop(node.name, perf_counter())
        notes.seconds, notes.memory_mb = round(perf_counter() - began, 3), _memory_mb()
        return notes


class _ManifestOfRun:
    """The manifest of the run that is under way."""

    def __init__(
        self,
        runs: Runs,
        manifest: Manifest,
        pipeline: Pipeline,
        catalog: DataCatalog,
        records: Records,
    ) -> None:
        self._runs, self._folder, self._manifest = runs, runs.folder(manifest.run_id), manifest
        self._pipeline, self._catalog, self._records = pipeline, catalog, records
        self._made: set[str] = set()
        self._kept: set[str] = set()
        self._writing = RLock()  # nodes may run in several threads
        self._warnings = _Warnings()
        logging.getLogger().addHandler(self._warnings)
        self._lock = self._folder.lock()
        self._folder.write(self._manifest)

    def took(self, name: str) -> None:
        """Keep what the run takes without making it, as the first node that needs it finds it.

        Its outputs are locked: another run that makes it anew waits.
        """
        with self._writing:
            if name in self._made or name in self._kept:
                return
            self._kept.add(name)
        self._keep(name)

    def take(self, node: Node, notes: _Notes) -> None:
        """Keep what a node has made, and write the manifest."""
        for name in node.outputs:
            self._keep(name)
        stored = tuple(out for out in node.outputs if self._is_stored(out))
        ran = NodeRun(node.name, notes.seconds, stored, notes.memory_mb)
        with self._writing:
            self._made.update(node.outputs)
            self._manifest.scores.update(notes.scores)
            self._manifest.trainings.update(notes.trainings)
            self._write(nodes=(*self._manifest.nodes, ran))

    def failed(self, node: Node, error: Exception) -> None:
        """Note that a node could not be run."""
        with self._writing, suppress(OSError):  # the disk may be full, which may be why
            self._manifest.failed[node.name] = line_of(error)
            self._write()

    def end(self, state: Any, error: str | None = None, skipped: tuple[str, ...] = ()) -> None:
        """Note how the run ended, and then, if it can be reached, what it found up to date."""
        try:
            self._write(state=state, error=error, skipped=skipped, ended=now())
            try:
                self._note_others()
                self._remove_old_checkpoints()
            except (OSError, DatasetError) as away:
                logger.warning("the manifest lacks what was up to date: %s", one_line(away))
        finally:
            logging.getLogger().removeHandler(self._warnings)
            unlock(self._lock)

    def _note_others(self) -> None:
        """Keep and note what is there that the run has not made."""
        found = self._pipeline.datasets() - self._made
        if not self._manifest.asked.get("only_missing_outputs"):
            # What it was to make and has not is of an earlier run, made otherwise perhaps.
            found -= self._pipeline.all_outputs()
        others = sorted(found)
        stored = {name for name in others if self._is_stored(name)}
        for name in sorted(stored):
            self.took(name)
        self._note_scores(others)
        self._note_versions({*stored, *self._made})
        self._write(up_to_date=len(stored & self._pipeline.all_outputs()))

    def _remove_old_checkpoints(self) -> None:
        """Remove those that no rule keeps, and say so."""
        rules = Experiments.model_validate(self._manifest.parameters.get("experiments") or {})
        runs = self._runs
        finished = [run for run in runs.all().values() if run.state != "running"]
        removed = []
        for run_id, name in checkpoints_to_remove(finished, rules.keep):
            dataset = self._catalog.get(name)
            if isinstance(dataset, PathDataset):
                kept = kept_by(runs.folder(run_id), name, dataset)
                if kept is not None and kept.exists():
                    kept.remove()
                    removed.append(f"{run_id}: {name}")
        if removed:
            logger.info(
                "experiments.keep: %s: %d checkpoints of earlier runs are removed (%s)",
                ", ".join(rules.keep), len(removed), listed(removed, 3),
            )  # fmt: skip

    def _note_scores(self, names: list[str]) -> None:
        """The scores and trainings of what was up to date."""
        for name in names:
            dataset = self._catalog.get(name)
            if isinstance(dataset, MetricsDataset | CheckpointDataset) and dataset.exists():
                with suppress(Exception):  # what cannot be read is no score of this run
                    if isinstance(dataset, MetricsDataset):
                        self._manifest.scores[name] = dataset.load().to_dict()
                    else:
                        self._manifest.trainings[name] = dataset.described().facts

    def _write(self, **changes: Any) -> None:
        with self._writing:
            lines = tuple(self._warnings.lines)
            self._manifest = replace(self._manifest, warnings=lines, **changes)
            self._folder.write(self._manifest)

    def _is_stored(self, name: str) -> bool:
        """Whether a value is there that outlives the run, on this machine or elsewhere."""
        dataset = self._catalog.get(name)
        return isinstance(dataset, PathDataset) and dataset.exists()

    def _note_versions(self, names: set[str]) -> None:
        """Which versions of what has some the run took, or made."""
        for name in sorted(names):
            dataset = self._catalog.get(name)
            if isinstance(dataset, PathDataset) and (version := dataset.version()) is not None:
                self._manifest.data_versions[name] = version

    def _keep(self, name: str) -> None:
        """Give the record of an output, and what a comparison reads, a second place."""
        record = self._records.path(name)
        if record.exists():
            link(record, self._folder.made / record.name)
        dataset = self._catalog.get(name)
        if isinstance(dataset, PathDataset) and _is_kept(dataset) and dataset.exists():
            twin = kept_by(self._folder, name, dataset)
            if twin is not None:
                dataset.copy_to(twin)


class _Warnings(logging.Handler):
    """Collects what is warned of, each line once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take one."""
        if len(self.lines) < MOST_WARNINGS:
            # Of a worker, without its name: the next run may give the node to another one.
            said = getattr(record, "said", None) or record.getMessage()
            self.lines[" ".join(said.split())] = None


def _is_kept(dataset: Any) -> bool:
    return isinstance(dataset, KEPT_TYPES) or (
        isinstance(dataset, TableDataset) and dataset.table in KEPT_TABLES
    )


def _first(
    run_params: Mapping[str, Any],
    parameters: Mapping[str, Any],
    lines: dict[str, str],
    project: Path,
) -> Manifest:
    """The manifest as a run begins."""
    sources = {key: where for key in flat(parameters) if (where := _source(key, lines)) is not None}
    commit, changed = _git(project)
    hidden = ("run_id", "session_id", "save_version", "project_path", "kedro_version", "runner")
    asked = {key: value for key, value in run_params.items() if value and key not in hidden}
    return Manifest(
        run_id="",
        asked=_plain(asked),
        started=now(),
        commit=commit,
        changed=changed,
        machine=_machine(),
        versions=library_versions(),
        parameters=_plain(parameters),
        sources=sources,
    )


def _source(key: str, lines: dict[str, str]) -> str | None:
    """Where a setting, or the section around it, is set."""
    while key not in lines and "." in key:
        key = key.rpartition(".")[0]
    return lines.get(key)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _memory_mb() -> float:
    """The most memory that this process has used, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)


def _machine() -> dict[str, Any]:
    """What results and times may hang on."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1024**3, 1),
    }
    torch = sys.modules.get("torch")  # it takes seconds to import, and no node may need it
    if torch is not None and torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(project: Path) -> tuple[str | None, tuple[str, ...]]:
    """The commit that is checked out, and the first files that differ from it."""

    def ask(*words: str) -> str:
        asked = ["git", "-C", str(project), *words]
        told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10)
        return told.stdout

    try:
        commit = ask("rev-parse", "HEAD").strip()
        changed = [line[3:] for line in ask("status", "--porcelain").splitlines()]
    except (OSError, subprocess.SubprocessError):
        return None, ()
    return commit, tuple(changed[:10])
