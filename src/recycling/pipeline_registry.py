"""The pipelines, made from the models of the active environment."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from recycling.limits import Limits, set_limits
from recycling.pipelines import (
    augmented_sets,
    data_cleaning,
    ensembling,
    label_errors,
    pseudo_labeling,
    splitting,
    studies,
    training,
    tuning,
)
from recycling.plan import TASKS, Plan, read_plan
from recycling.plan.data_folder import mirrored_folder
from recycling.plan.parameters import ParameterError, file_of, shown
from recycling.predictions import members_in

_active: Plan | None = None


def register_pipelines() -> dict[str, Pipeline]:
    """The eight pipelines, `__default__`, which is all of them, `label_errors`, studies, searches.

    Without models and files of predictions there is nothing to train or fuse: `__default__` cleans
    and splits.
    """
    plan = _active or plan_of(configuration(Path.cwd(), os.environ.get("KEDRO_ENV")), Path.cwd())
    parts = _parts(plan)
    pipelines = {
        "data_cleaning": data_cleaning.create_pipeline(parts),
        "splitting": splitting.create_pipeline(parts),
        "augmented_sets": augmented_sets.create_pipeline(plan),
        **{f"training_{task}": training.create_pipeline(plan, task) for task in TASKS},
        "pseudo_labeling": pseudo_labeling.create_pipeline(plan),
        "ensembling": ensembling.create_pipeline(plan) if plan.tasks else Pipeline([]),
    }
    return {
        "__default__": sum(pipelines.values(), start=Pipeline([])),
        **pipelines,
        **{f"tune_{own.name}": tuning.create_pipeline(plan, own) for own in plan.tunings},
        **{f"study_{study.name}": studies.create_pipeline(plan, study) for study in plan.studies},
        "label_errors": label_errors.create_pipeline(plan),
    }


def _parts(plan: Plan) -> tuple[str, ...]:
    """The parts of the data that are needed: a pool only by rounds that label it."""
    needed = {"train"} | {part.part for labels in plan.pseudo_labels for part in labels.parts}
    if plan.models or plan.tasks:
        needed.add("test")
    return tuple(part for part in data_cleaning.PARTS if part in needed)


def activate(plan: Plan) -> None:
    """Make the pipelines from `plan` from now on."""
    global _active
    _active = plan


def configuration(project_path: Path, env: str | None) -> OmegaConfigLoader:
    """Kedro's configuration outside a session."""
    arguments: dict[str, Any] = dict(settings.CONFIG_LOADER_ARGS)
    loader: OmegaConfigLoader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project_path / settings.CONF_SOURCE), env=env, **arguments
    )
    return loader


def plan_of(config: OmegaConfigLoader, project_path: Path) -> Plan:
    """Read the plan out of a configuration; faults name the file that they are in.

    Args:
        config: The configuration, wherever it is.
        project_path: The folder that `data/` with files of predictions is in.
    """
    folders = [config.env or config.default_run_env, config.base_env]
    files = [Path(config.conf_source) / str(folder) / "models.yml" for folder in folders]
    where = shown(next((file for file in files if file.exists()), files[-1]))
    if {"models", "ensembles"} & set(config.runtime_params or {}):
        where += " with --params"
    import_custom(config["parameters"].get("custom_imports") or [], config)
    with suppress(ValidationError):  # which `check_parameters` tells
        set_limits(Limits.model_validate(config["parameters"].get("limits") or {}))
    members = mirrored_folder(config, project_path, "01_raw/members")
    external = {task: members_in(members / task) for task in TASKS}
    return replace(read_plan(config["parameters"], where, external), env=config.env)


def import_custom(names: Any, config: OmegaConfigLoader) -> None:
    """Import the modules that register a user's own methods, losses, metrics and formats.

    Args:
        names: What the parameter `custom_imports` says: names of modules.
        config: Says which file it is in.

    Raises:
        ParameterError: One of them cannot be imported.
    """
    for name in names if isinstance(names, list) else [names]:
        try:
            import_module(str(name))
        except ImportError as error:
            raise ParameterError(
                f"{shown(file_of('custom_imports', config))}: custom_imports: {name}: {error}; "
                "name a module below src/, or one that is installed"
            ) from error
