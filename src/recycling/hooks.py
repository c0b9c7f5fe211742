"""What happens around a run: the plan is read, the graph is checked, the outcome is shown."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from rich.console import Console

from recycling import pipeline_registry
from recycling.backends import (
    BackendError,
    Checkpoint,
    Model,
    Recipes,
    changed_settings,
    how_to_install,
)
from recycling.backends.shared.recipes import read_head
from recycling.datasets import (
    CheckpointDataset,
    FigureDataset,
    ImageDataset,
    PathDataset,
)
from recycling.datasets.core import OptionalPathDataset
from recycling.plan import start_of
from recycling.plan.parameters import ParameterError, check_parameters, file_of, shown
from recycling.typed import check_types

logger = logging.getLogger(__name__)


class PreflightError(ValueError):
    """A run cannot succeed: one line, which file or key, what is wrong, what to do."""


class PlanHooks:
    """Makes the pipelines from the models of the environment that is run."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read `models.yml` of the environment, and check the parameters of its pipelines."""
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        config = cast(OmegaConfigLoader, context.config_loader)
        pipeline_registry.activate(pipeline_registry.plan_of(config))
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
            for name, dataset in shipped.items():
                catalog[name] = dataset


class OutdatedHooks:
    """Lets ``--only-missing-outputs`` make anew what follows from a model that has changed.

    Kedro asks only whether an output is there. One counts as missing as well where it follows from
    a model whose settings or recipe have changed since its training, or is older than the model.
    """

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Compare each model that is there with what `models.yml` says now."""
        if not run_params.get("only_missing_outputs"):
            return
        for node in pipeline.nodes:
            for name in node.outputs:
                if isinstance(catalog.get(name), CheckpointDataset) and catalog.exists(name):
                    _find_outdated(name, node, pipeline, catalog)


class PreflightHooks:
    """Stops a run before its first node where it is known that it cannot succeed."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check the types along the graph, the inputs and the recipes."""
        check_types(pipeline, catalog)
        for name in sorted(pipeline.inputs()):
            _check_input(name, catalog)
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
        """Show every score, and where the images are."""
        made = pipeline.all_outputs()
        if "summary" in made:
            from recycling.reporting import scores_table

            self._console.print(scores_table(catalog.load("summary")))
        images = [
            path
            for name in sorted(made)
            if isinstance(dataset := catalog.get(name), ImageDataset | FigureDataset)
            and (path := dataset.stored) is not None
        ]
        if images:
            self._console.print("Images:")
        for path in images:
            self._console.print(f"  {shown(path)}", highlight=False, soft_wrap=True)


def _find_outdated(name: str, node: Node, pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Have a model's checkpoint, or what has not been made since it was, count as missing.

    Args:
        name: The checkpoint.
        node: What makes it.
        pipeline: What is run.
        catalog: With the checkpoint and what follows from it.
    """
    checkpoint: Checkpoint = catalog.load(name)
    made = cast(CheckpointDataset, catalog.get(name)).written("checkpoint.json") or 0.0
    is_used = any(name in node.inputs for node in pipeline.nodes)
    follow = sorted(pipeline.from_inputs(name).all_outputs()) if is_used else []
    who = name.removesuffix(".checkpoint")
    if (change := _change(checkpoint, made, node, catalog)) is not None:
        logger.warning("%s: %s; it and all that follows from it are made anew", who, change)
        outdated = [name, *follow]
    else:
        outdated = [output for output in follow if (_time_of(catalog.get(output)) or made) < made]
        if outdated:
            logger.warning(
                "%s: %s older than this model and made anew: %s",
                who,
                "1 output is" if len(outdated) == 1 else f"{len(outdated)} outputs are",
                ", ".join(outdated[:5]) + (", ..." if len(outdated) > 5 else ""),
            )
    for output in outdated:
        if (dataset := catalog.get(output)) is not None:
            # For this one object: what the files are is not altered before they are replaced.
            vars(dataset)["_exists"] = lambda: False


def _change(checkpoint: Checkpoint, made: float, node: Node, catalog: DataCatalog) -> str | None:
    """What has changed since a model was trained, on one line."""
    key = next(name for name in node.inputs if name.startswith("params:models."))
    model: Model = catalog.load(key)
    # What another model's weights are called is known only once they are there.
    besides = {"pretrained"} if start_of(model) is not None else set()
    if (change := changed_settings(checkpoint, model, besides)) is not None:
        return change
    recipes: Recipes = catalog.load("recipes")
    recipe = recipes.find(model.backend, model.recipe)
    return f"{shown(recipe)} has been written to" if recipe.stat().st_mtime > made else None


def _time_of(dataset: Any) -> float | None:
    """When the value of a dataset was written, in seconds; None where that is not known."""
    if isinstance(dataset, PathDataset):
        return dataset.written()
    path = getattr(dataset, "_filepath", None)  # one of Kedro's own
    return Path(str(path)).stat().st_mtime if path and Path(str(path)).exists() else None


def _check_input(name: str, catalog: DataCatalog) -> None:
    if name.startswith("params:") or name == "parameters":
        if name not in catalog:
            raise PreflightError(f"conf: no parameter {name.removeprefix('params:')!r}; add it")
        return
    if name not in catalog:
        raise PreflightError(f"conf: no catalog entry {name!r}, and no node makes it; add one")
    if catalog.exists(name):
        return
    dataset = catalog.get(name)
    if isinstance(dataset, PathDataset):
        where = dataset.url or shown(dataset.filepath)
    else:
        where = str(dataset)
    makers = sorted(
        pipeline
        for pipeline, nodes in pipelines.items()
        if pipeline != "__default__" and name in nodes.all_outputs()
    )
    todo = (
        f"make it with: kedro run --pipelines {makers[0]}"
        if makers
        else "put it there (the sample data: make sample), or change its catalog entry"
    )
    raise PreflightError(f"{where}: not there (dataset {name!r}); {todo}")


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
