"""What happens around a run: the plan is read, the graph is checked, the outcome is shown."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from rich.console import Console

from recycling import pipeline_registry
from recycling.backends import BackendError, Model, Recipes, how_to_install
from recycling.backends.shared.recipes import read_head
from recycling.datasets import FigureDataset, ImageDataset, PathDataset
from recycling.datasets.core import OptionalPathDataset
from recycling.errors import listed
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
from recycling.plan.parameters import ParameterError, check_parameters, file_of, shown
from recycling.typed import check_types

logger = logging.getLogger(__name__)


class PreflightError(ValueError):
    """A run cannot succeed: one line, which file or key, what is wrong, what to do."""


class MixedRunsError(RuntimeError):
    """Two runs have written the same output: one line, which, what to do."""


class PlanHooks:
    """Makes the pipelines from the models of the environment that is run."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read `models.yml` of the environment, and check the parameters of its pipelines."""
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        config = cast(OmegaConfigLoader, context.config_loader)
        pipeline_registry.activate(pipeline_registry.plan_of(config, Path(context.project_path)))
        pipelines.configure("recycling.pipeline_registry")
        check_parameters(pipelines, config)
        track(config)


def track(config: OmegaConfigLoader) -> None:
    """Tell the backends whether trainings are tracked with Weights & Biases.

    Raises:
        ParameterError: The parameter is not one of its modes.
    """
    mode = config["parameters"].get("wandb", "disabled")
    if mode not in WANDB_MODES:
        raise ParameterError(
            f"{shown(file_of('wandb', config))}: wandb: should be {', '.join(WANDB_MODES)} "
            f"(got {mode!r})"
        )
    os.environ.setdefault("WANDB_MODE", mode)
    os.environ.setdefault("WANDB_SILENT", "true")


WANDB_MODES = ("offline", "online", "disabled")


class SampleHooks:
    """Lets a fresh clone run on the outputs that the repository ships.

    They lie below ``sample/`` as a run would leave them below ``data/``. They are used only where
    nothing has been made yet of what other pipelines give to this one: own and shipped results are
    never mixed.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is."""
        self.project_path = Path(context.project_path)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Point the run's inputs to the shipped sample where `data/` holds none of them."""
        if {"train.images", "pool.images"} & pipeline.inputs():
            return  # the sample holds predictions, and no image that could be trained on
        data, sample = self.project_path / "data", self.project_path / "sample"
        needed = {
            name: dataset
            for name in pipeline.inputs()
            if isinstance(dataset := catalog.get(name), PathDataset)
            and not isinstance(dataset, OptionalPathDataset)
            and dataset.filepath.is_relative_to(data)
        }
        shipped = {
            name: dataset.at(sample / dataset.filepath.relative_to(data))
            for name, dataset in needed.items()
        }
        made = pipelines["__default__"].all_outputs() & needed.keys()
        if not made or any(needed[name].exists() for name in made):
            return
        if all(dataset.exists() for dataset in shipped.values()):
            logger.warning(
                "data/ holds nothing that this run needs: it starts from the predictions in sample/"
            )
            with _quiet("kedro.io.data_catalog"):  # it warns of every dataset that is replaced
                for name, dataset in shipped.items():
                    catalog[name] = dataset


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
        """Remember where records are kept."""
        self._folder = records_folder(context)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Say what the run will take, and what is stale, where only that is to be made."""
        assert self._folder is not None
        self._run = run = _Run(self._folder, pipeline, catalog)
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
            run.graph.cache.save()
        if nodes:
            say_forecast(forecast(run.graph, run.records, nodes))

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

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Write the record of an output."""
        if self._run is not None:
            self._run.saved(dataset_name, node)

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


class PreflightHooks:
    """Stops a run before its first node where it is known that it cannot succeed."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Check the types along the graph, the inputs and the recipes."""
        check_types(pipeline, catalog)
        _check_inputs(pipeline, catalog, run_params.get("env"))
        for node in pipeline.nodes:
            _check_recipe(node, catalog)


class ConsoleHooks:
    """Says what runs, and shows the outcome."""

    def __init__(self) -> None:
        self._console = Console()
        self._done = 0
        self._total = 0

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the nodes."""
        self._done, self._total = 0, len(pipeline.nodes)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Name the node."""
        self._done += 1
        self._console.print(
            f"[dim]{self._done:>3}/{self._total}[/dim] {node.name}", highlight=False
        )

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Show every score, what pseudo-labels did, and where pages and images are."""
        made = sorted(pipeline.all_outputs())
        if "summary" in made:
            from recycling.reporting import scores_table

            self._console.print(scores_table(catalog.load("summary")))
        for name in made:
            if name.endswith(".pseudo_effect"):
                sentence = catalog.load(name)["sentence"]
                self._console.print(sentence, highlight=False, soft_wrap=True)
        stored = [dataset for name in made if isinstance(dataset := catalog.get(name), PathDataset)]
        images = [each for each in stored if isinstance(each, ImageDataset | FigureDataset)]
        pages = [each for each in stored if each.filepath.suffix == ".html"]
        for title, datasets in (("Pages:", pages), ("Images:", images)):
            paths = [path for dataset in datasets if (path := dataset.stored) is not None]
            if paths:
                self._console.print(title)
            for path in paths:
                self._console.print(f"  {shown(path)}", highlight=False, soft_wrap=True)


class _Run:
    """What is known of one run: what each of its nodes took, and what it has locked."""

    def __init__(self, folder: Path, pipeline: Pipeline, catalog: DataCatalog) -> None:
        self.records = Records(folder)
        self.graph = Graph(pipeline, catalog, ContentCache(folder / "content.json"))
        self._folder = folder
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
                self._begin(node, work)

    def _begin(self, node: Node, work: _Work) -> None:
        taken = [name for name in node.inputs if name in self._made and self.graph.stored(name)]
        work.locks.acquire(
            dict.fromkeys(taken, False) | dict.fromkeys(self.graph.stored_outputs(node), True)
        )
        self._took[node.name] = took = self.graph.ingredients(node, self._taken_by)
        for name in taken:
            self._check_unmixed(name, took)

    def saved(self, name: str, node: Node) -> None:
        """Write the record of an output; after the last one, let others have them."""
        work, dataset = self._at_work[node.name], self.graph.stored(name)
        if dataset is not None:
            vars(dataset).pop("_exists", None)
            made = self._took[node.name]
            seconds = perf_counter() - work.began
            record = record_of(self.graph, node.name, name, made, seconds)
            self.records.write(name, record, self.graph.code(made))
            self._content[name] = record.content
        work.saved.add(name)
        # A generator saves each of its outputs many times, till the run ends for all we know.
        if work.saved.issuperset(node.outputs) and not isgeneratorfunction(node.func):
            self.end(node)

    def end(self, node: Node) -> None:
        """A node has done its work."""
        self.records.succeed(node.name)
        self._at_work.pop(node.name).locks.release()

    def fail(self, node: Node, error: BaseException) -> None:
        """A node has raised."""
        self.records.fail(node.name, error)
        if (work := self._at_work.pop(node.name, None)) is not None:
            work.locks.release()

    def stop(self, error: BaseException | None = None) -> None:
        """The run has ended; what is still at work has failed if it ended with an error."""
        for name, work in list(self._at_work.items()):
            if error is not None:
                self.records.fail(name, error)
            work.locks.release()
        self._at_work.clear()
        self.graph.cache.save()

    def _taken_by(self, node: Node) -> Ingredients:
        """What a node took whose output is in memory; if another process ran it, would take."""
        took = self._took.get(node.name)
        return took if took is not None else self.graph.ingredients(node, self._taken_by)

    def _check_unmixed(self, name: str, took: Ingredients) -> None:
        now = took.inputs.get(name, {}).get("content")
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


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without the warnings of a logger."""
    named = logging.getLogger(name)
    level = named.level
    named.setLevel(logging.ERROR)
    try:
        yield
    finally:
        named.setLevel(level)


def records_folder(context: KedroContext) -> Path:
    """Where records of outputs are kept: beside the outputs of the environment."""
    config = cast(OmegaConfigLoader, context.config_loader)
    return Path(context.project_path) / str(config["globals"]["data"]) / ".made"


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


def _check_inputs(pipeline: Pipeline, catalog: DataCatalog, env: str | None) -> None:
    """That all that a run takes is there.

    Raises:
        PreflightError: Something is not: what, and the command that makes it, computed from the
            graph of all nodes, or what has to be put there first.
    """
    inputs = sorted(pipeline.inputs())
    for name in inputs:
        if (name.startswith("params:") or name == "parameters") and name not in catalog:
            raise PreflightError(f"conf: no parameter {name.removeprefix('params:')!r}; add it")
    makers = {
        name: node
        for nodes in (pipelines["__default__"], pipeline)
        for node in nodes.nodes
        for name in node.outputs
    }
    missing = [name for name in inputs if not _is_there(name, catalog)]
    if missing:
        raise PreflightError(_what_is_missing(missing, makers, catalog, env))


def _is_there(name: str, catalog: DataCatalog) -> bool:
    if name.startswith("params:") or name == "parameters":
        return True
    return name in catalog and catalog.exists(name)


def _not_given(names: list[str], catalog: DataCatalog) -> str:
    """What no node makes."""
    unknown = [name for name in names if name not in catalog]
    if unknown:
        return f"conf: no catalog entry {unknown[0]!r}, and no node makes it; add one"
    return (
        f"{_shown_inputs(names, catalog)}; put it there (the sample data: make sample), or change "
        "its catalog entry"
    )


def _what_is_missing(
    missing: list[str], makers: Mapping[str, Node], catalog: DataCatalog, env: str | None
) -> str:
    """What has to be put there, and the command that makes what nodes make that do not run."""
    needed: set[str] = set()
    given, seen, waiting = [], set(), list(missing)
    while waiting:
        if (name := waiting.pop()) in seen or _is_there(name, catalog):
            continue
        seen.add(name)
        if name in makers:
            needed.add(makers[name].name)
            waiting += makers[name].inputs
        elif name in catalog or name in missing:
            given.append(name)
    made = [name for name in missing if name in makers]
    if not made:
        return _not_given(sorted(given), catalog)
    if len(made) <= MOST_OUTPUTS:
        what = f"--to-outputs {','.join(made)}"
    else:
        parts = {name: part for name, part in pipelines.items() if name != "__default__"}
        what = "--pipelines " + ",".join(
            name
            for name, part in parts.items()
            if not needed.isdisjoint(node.name for node in part.nodes)
        )
    options = "" if env is None else f" --env {env}"
    command = f"kedro run{options} {what} --only-missing-outputs"
    if given:
        return f"{_not_given(sorted(given), catalog)}; then make {listed(made, 3)} with: {command}"
    return f"{_shown_inputs(made, catalog)}; make it first with: {command}"


MOST_OUTPUTS = 5
"""So many that a run lacks are made by their names; for more, whole pipelines are run."""


def _shown_inputs(names: list[str], catalog: DataCatalog) -> str:
    """What is not there: the first with its file or folder, and the names of the others."""
    dataset = catalog.get(names[0]) if names[0] in catalog else None
    if isinstance(dataset, PathDataset):
        kind = None if dataset.url is not None else _other_kind(dataset.filepath)
        where = f"{dataset.url or shown(dataset.filepath)}: {kind or 'not there'}"
    elif dataset is None:
        where = f"{names[0]}: only in memory while a run makes it"
    else:
        where = f"{dataset}: not there"
    others = "" if len(names) == 1 else f", nor are {listed(names[1:], 3)}"
    return f"{where} (dataset {names[0]!r}{others})"


def _other_kind(path: Path) -> str | None:
    """What lies at a path where a dataset does not find what it reads; None where nothing does."""
    if path.is_dir():
        return "is a folder, not a file"
    if path.exists():
        return "is a file, not a folder"
    return "is a link to what is not there" if path.is_symlink() else None


def _check_recipe(node: Node, catalog: DataCatalog) -> None:
    if "recipes" not in node.inputs:
        return
    recipes: Recipes = catalog.load("recipes")
    for name in node.inputs:
        if name.startswith("params:models."):
            model: Model = catalog.load(name)
            key = f"models.yml: {name.removeprefix('params:')}.recipe"
            try:
                recipe = read_head(
                    recipes.find(model.backend, model.recipe), model.task, model.backend
                )
            except BackendError as error:
                raise PreflightError(f"{key}: {error}") from error
            if missing := recipe.missing:
                raise PreflightError(
                    f"{key}: {recipe.name!r} needs {missing[0]}, which is not installed; "
                    f"{how_to_install(missing[0])}, or choose another recipe"
                )
