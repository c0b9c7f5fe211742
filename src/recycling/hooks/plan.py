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
from recycling.plan.parameters import check_parameters


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
