"""Keeps a record of how each output was made, and has stale ones made anew."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import isgeneratorfunction
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any, cast

import click
from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import AbstractDataset, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from recycling.datasets import CheckpointDataset, RunFolderDataset
from recycling.files import clear_leftovers
from recycling.fingerprints import (
    ContentCache,
    Forecast,
    Graph,
    Ingredients,
    Locks,
    Records,
    State,
    code_line,
    forecast,
    nodes_to_run,
    record_of,
    states,
    summary,
    unknown_line,
)
from recycling.placeholders import folder_of_placeholders
from recycling.plan.data_folder import mirrored_folder
from recycling.runners import FOLDER, ClusterError, Leases, RunStoppedError

logger = logging.getLogger(__name__)


class MixedRunsError(RuntimeError):
    """Two runs have written the same output: one line, which, what to do."""


class UpToDateHooks:
    """Keeps a record of how each output was made, and has stale ones made anew.

    Kedro asks only whether an output is there. For ``--only-missing-outputs`` one counts as missing
    as well where it was made of other inputs, parameters or records than there are now, or follows
    from one that was. While a node works its outputs are locked, so that two runs never mix.

    Args:
        folder: Where records are kept; by default, where the project's configuration says.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._run: _Run | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where records are kept, and forget which images are elsewhere."""
        self._folder = records_folder(context)
        folder_of_placeholders.cache_clear()  # a worker of Dask lives longer than a run

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Say what the run will take, and what is stale, where only that is to be made."""
        assert self._folder is not None
        run_id = str(run_params.get("run_id") or "")
        self._run = run = _Run(self._folder, pipeline, catalog, run_id)
        nodes = pipeline.nodes
        if run_params.get("only_missing_outputs"):
            found = states(run.graph, run.records, stale_code=_asked_for("stale_code"))
            say_states(found)
            nodes = nodes_to_run(run.graph, found)
            for state in found:
                if state.kind in ("stale", "failed"):
                    # For this one object: what the files are is not altered before they are
                    # replaced.
                    vars(catalog.get(state.name))["_exists"] = _is_not_there
            _forget_trainings(found, catalog)
            run.graph.cache.save()
        if nodes:
            say_forecast(forecast(run.graph, run.records, nodes))

    @hook_impl
    def before_run_on_worker(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Write records; where the run is led outputs are locked, and leases are given out."""
        assert self._folder is not None
        self._run = _Run(self._folder, pipeline, catalog, None)

    @hook_impl
    def before_node_sent(self, node: Node) -> None:
        """Lock what a worker will take and make."""
        if self._run is not None:
            self._run.lock(node)

    @hook_impl
    def notes_of_node(self, node: Node) -> dict[str, Any] | None:
        """The content of what a node took and made on this worker."""
        return None if self._run is None else {"content": self._run.contents(node)}

    @hook_impl(wrapper=True)
    def after_node_returned(
        self, node: Node, notes: Mapping[str, Any], error: Exception | None
    ) -> Generator[None, Any, Any]:
        """Let others have what a worker has made, when all hooks have seen it.

        One that was stopped has noted nothing.
        """
        if self._run is None:
            return (yield)
        try:
            self._run.returned(node, notes.get("content"), error)
            return (yield)
        finally:
            self._run.unlock(node)

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Lock what the node takes and makes, and look at what it takes, before it does."""
        if self._run is not None:
            self._run.begin(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """The same for a node that takes nothing."""
        if self._run is not None:
            self._run.begin(node)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """A node that makes nothing has ended."""
        if self._run is not None and not node.outputs:
            self._run.end(node)

    @hook_impl(wrapper=True)
    def after_dataset_saved(self, dataset_name: str, node: Node) -> Generator[None, Any, Any]:
        """Write the record of an output; after the last one, let others have them.

        Not before all hooks have seen it: the run keeps what it has made, and another run that was
        waiting would replace that.
        """
        if self._run is None:
            return (yield)
        is_last = self._run.saved(dataset_name, node)
        found = yield
        if is_last:
            self._run.unlock(node)
        return found

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Note that a node has raised."""
        if self._run is not None:
            self._run.fail(node, error)

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Note whose inputs could not be loaded or outputs not be saved, and unlock all."""
        if self._run is not None:
            self._run.stop(error)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Keep what was found out about files."""
        if self._run is not None:
            self._run.stop()


def _forget_trainings(found: Iterable[State], catalog: DataCatalog) -> None:
    """Remove what trainings of other code have left in their folders, where that makes them stale.

    A training knows its settings and data, not its code: it would give its checkpoint back. A state
    stays: it is of a training that has begun since, and is gone on with.
    """
    runs = catalog.get("runs")
    for state in found:
        checkpoint = catalog.get(state.name)
        if (
            isinstance(runs, RunFolderDataset)
            and isinstance(checkpoint, CheckpointDataset)
            and state.kind == "stale"
            and state.has_other_code
        ):
            folder = runs.load().path / state.name.removesuffix(".checkpoint") / "checkpoint"
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)


class _Run:
    """What is known of one run: what each of its nodes took, and what it has locked.

    Args:
        folder: Of the records.
        pipeline: The nodes of the run.
        catalog: Their datasets.
        run_id: Takes nodes over that machines of an earlier run may be at still; None on a worker,
            which locks nothing either.
    """

    def __init__(
        self, folder: Path, pipeline: Pipeline, catalog: DataCatalog, run_id: str | None
    ) -> None:
        if run_id is not None:
            clear_leftovers(folder)
        self.records = Records(folder)
        self.graph = Graph(pipeline, catalog, ContentCache(folder / "content.json"))
        self._folder, self._run_id = folder, run_id
        # Those of a pipeline that is run alone are made by others.
        self._made = pipeline.all_outputs().union(*(p.all_outputs() for p in pipelines.values()))
        self._at_work: dict[str, _Work] = {}
        self._took: dict[str, Ingredients] = {}
        self._content: dict[str, str | None] = {}

    def begin(self, node: Node) -> None:
        """Lock what a node takes and makes, once, and look at what it takes."""
        work = self._at_work.setdefault(node.name, _Work(Locks(self._folder), perf_counter()))
        with work.beginning:  # inputs may be loaded by several threads
            if not work.has_begun:
                work.has_begun = True
                self._end_makers(node)
                if self._run_id is not None:
                    self._lock(node, work)
                    Leases(self._folder / FOLDER).take_over(node.name, self._run_id)
                self._took[node.name] = took = self.graph.ingredients(node, self._taken_by)
                for name in self._taken(node):
                    self._check_unmixed(name, took.inputs.get(name, {}).get("content"))
                self.records.begin(node.name)

    def _end_makers(self, node: Node) -> None:
        """Generators have ended when a node begins that takes what they have made."""
        for name, work in list(self._at_work.items()):
            taken = not work.saved.isdisjoint(node.inputs)
            if taken and self._at_work.pop(name, None) is not None:
                self.records.succeed(name)
                work.locks.release()

    def lock(self, node: Node) -> None:
        """Lock what a node takes and makes, which another process will run."""
        self._at_work[node.name] = work = _Work(Locks(self._folder), perf_counter())
        self._lock(node, work)

    def _lock(self, node: Node, work: _Work) -> None:
        taken = dict.fromkeys(self._taken(node), False)
        work.locks.acquire(taken | dict.fromkeys(self.graph.stored_outputs(node), True))

    def _taken(self, node: Node) -> list[str]:
        return [name for name in node.inputs if name in self._made and self.graph.stored(name)]

    def contents(self, node: Node) -> dict[str, str | None]:
        """Those of what a node took and made, as far as they are known here."""
        names = [*self._taken(node), *self.graph.stored_outputs(node)]
        return {name: self._content[name] for name in names if name in self._content}

    def returned(
        self, node: Node, contents: Mapping[str, str | None] | None, error: Exception | None
    ) -> None:
        """Another process has run a node, or has failed to."""
        if error is not None and not isinstance(error, ClusterError):
            self.records.fail(node.name, error)
        elif contents is not None:
            self.records.succeed(node.name)
            for name in self.graph.stored_outputs(node):
                dataset = cast(AbstractDataset[Any, Any], self.graph.stored(name))
                vars(dataset).pop("_exists", None)
                dataset.release()  # Kedro remembers the version that was the newest before
                self._content.pop(name, None)
            for name, content in contents.items():
                self._check_unmixed(name, content)

    def saved(self, name: str, node: Node) -> bool:
        """Write the record of an output; whether it is the last one of its node."""
        work, dataset = self._at_work[node.name], self.graph.stored(name)
        if dataset is not None:
            vars(dataset).pop("_exists", None)
            made = self._took[node.name]
            seconds = perf_counter() - work.began
            record = record_of(self.graph, node.name, name, made, seconds)
            self.records.write(name, record, self.graph.code(made))
            self._content[name] = record.content
        work.saved.add(name)
        # A generator saves each of its outputs many times, till a node takes one or the run ends.
        is_last = work.saved.issuperset(node.outputs) and not isgeneratorfunction(node.func)
        if is_last:
            self.records.succeed(node.name)
        return is_last

    def end(self, node: Node) -> None:
        """A node that makes nothing has done its work."""
        self.records.succeed(node.name)
        self.unlock(node)

    def unlock(self, node: Node) -> None:
        """Let others have what a node takes and makes."""
        if (work := self._at_work.pop(node.name, None)) is not None:
            work.locks.release()

    def fail(self, node: Node, error: BaseException) -> None:
        """A node has raised."""
        self.records.fail(node.name, error)
        self.unlock(node)

    def stop(self, error: BaseException | None = None) -> None:
        """The run has ended; what is still at work has failed if it ended with an error."""
        for name, work in list(self._at_work.items()):
            if error is not None and not isinstance(error, RunStoppedError | ClusterError):
                self.records.fail(name, error)
            self.records.stop(name)
            work.locks.release()
        self._at_work.clear()
        self.graph.cache.save()

    def _taken_by(self, node: Node) -> Ingredients:
        """What a node took whose output is in memory; if another process ran it, would take."""
        took = self._took.get(node.name)
        return took if took is not None else self.graph.ingredients(node, self._taken_by)

    def _check_unmixed(self, name: str, now: str | None) -> None:
        if self._content.setdefault(name, now) != now:
            raise MixedRunsError(
                f"{name}: another run has written it while this one was under way; start this one "
                "again, with --only-missing-outputs to keep what it has made"
            )


@dataclass
class _Work:
    """One node at work: its locks, when it began, and what it has saved."""

    locks: Locks
    began: float
    saved: set[str] = field(default_factory=set)
    has_begun: bool = False
    beginning: Lock = field(default_factory=Lock)


def records_folder(context: KedroContext) -> Path:
    """Where records of outputs are kept: beside the outputs of the environment."""
    config = cast(OmegaConfigLoader, context.config_loader)
    return mirrored_folder(config, Path(context.project_path), ".made")


def say_states(found: list[State]) -> None:
    """Say how many outputs are up to date, how many are stale and why, and what is not known."""
    is_stale = any(state.kind in ("stale", "failed") for state in found)
    logger.log(logging.WARNING if is_stale else logging.INFO, "%s", summary(found))
    for line in (unknown_line(found), code_line(found)):
        if line is not None:
            logger.warning("%s", line)


def say_forecast(expected: Forecast) -> None:
    """Say what a run will do and take, and whether the disk has no room for it."""
    logger.info("%s", expected)
    if not expected.fits:
        logger.warning("the outputs may not find room: free some, or stop this run")


def _asked_for(option: str) -> bool:
    """Whether the command line has a flag that Kedro does not hand to hooks."""
    command = click.get_current_context(silent=True)
    return bool(command and command.params.get(option))


def _is_not_there() -> bool:
    return False
