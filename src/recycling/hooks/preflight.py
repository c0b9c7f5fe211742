"""Stops a run before its first node where it is known that it cannot succeed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from recycling.backends import BackendError, Model, Recipes, how_to_install
from recycling.backends.shared.recipes import read_head
from recycling.datasets import PathDataset
from recycling.errors import command, listed
from recycling.plan.parameters import shown
from recycling.typed import check_types


class PreflightError(ValueError):
    """A run cannot succeed: one line, which file or key, what is wrong, what to do."""


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
    return name.startswith("params:") or name == "parameters" or catalog.exists(name)


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
    in_memory = [name for name in made if name not in catalog]
    if in_memory:  # made by a run of its own, it would be gone again
        node = makers[in_memory[0]]
        return (
            f"{_shown_inputs(in_memory, catalog)}; let the same run make it: add {node.name} to "
            f"--nodes, or run --namespaces {node.namespace}"
        )
    if len(made) <= MOST_OUTPUTS:
        what = f"--to-outputs {','.join(made)}"
    else:
        parts = {name: part for name, part in pipelines.items() if name != "__default__"}
        what = "--pipelines " + ",".join(
            name
            for name, part in parts.items()
            if not needed.isdisjoint(node.name for node in part.nodes)
        )
    run = command(f"run {what} --only-missing-outputs", env)
    if given:
        return f"{_not_given(sorted(given), catalog)}; then make {listed(made, 3)} with: {run}"
    return f"{_shown_inputs(made, catalog)}; make it first with: {run}"


MOST_OUTPUTS = 5
"""So many that a run lacks are made by their names; for more, whole pipelines are run."""


def _shown_inputs(names: list[str], catalog: DataCatalog) -> str:
    """What is not there: the first with its file or folder, and the names of the others."""
    dataset = catalog.get(names[0])
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
            entry = f"models.yml: {name.removeprefix('params:')}"
            key = f"{entry}.recipe"
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
            if model.pretrained == "default" and recipe.weights == ():
                raise PreflightError(
                    f"{entry}.pretrained: default, but {recipe.name!r} has no official weights; "
                    "set pretrained: none, or choose another recipe (kedro recipes)"
                )
