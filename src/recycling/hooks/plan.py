"""Makes the pipelines of the environment that is run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from recycling import pipeline_registry
from recycling.plan.parameters import ParameterError, check_parameters, file_of, shown


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
