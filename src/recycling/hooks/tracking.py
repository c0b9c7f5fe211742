"""Hands what a run leaves to the tracker that the parameters name."""

from __future__ import annotations

import logging
from typing import Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from recycling.datasets import RunsDataset
from recycling.hooks.manifests import RUNS
from recycling.hooks.tracked_run import TrackedRun
from recycling.plan.parameters import ParameterError, faults, source_of
from recycling.tracking import Tracking, TrackingError, read_tracking

logger = logging.getLogger(__name__)


class TrackingHooks:
    """Tracks each training of a run, and the run itself, once its manifest is written.

    Args:
        settings: Who keeps the runs; by default as the parameters say.
    """

    def __init__(self, settings: Tracking | None = None) -> None:
        self._settings = settings

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read who keeps the runs.

        Raises:
            ParameterError: There is no such tracker, or it does not take a setting.
        """
        config = cast(OmegaConfigLoader, context.config_loader)
        if (mode := config["parameters"].get("wandb")) is not None:
            raise ParameterError(
                f"{source_of('wandb', config)}: wandb: {mode} is now written "
                f"tracking: {{to: wandb, mode: {mode}}}"
            )
        try:
            self._settings = read_tracking(config["parameters"].get("tracking"))
        except ValidationError as error:
            where = f"{source_of('tracking', config)}: tracking"
            raise ParameterError(faults(error, where, Tracking)) from error

    @hook_impl(trylast=True)  # its manifest is written
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Track a run that came to its end."""
        self._track(run_params, pipeline, catalog)

    @hook_impl(trylast=True)
    def on_pipeline_error(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Track what a run had done that failed."""
        self._track(run_params, pipeline, catalog)

    def _track(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        dataset = catalog.get(RUNS)
        settings = self._settings
        if not isinstance(dataset, RunsDataset) or settings is None:
            return
        runs = dataset.load()
        manifest = runs.find(str(run_params.get("run_id") or "latest"))
        if not any(node.outputs for node in manifest.nodes):
            return
        folder = runs.folder(manifest.run_id)
        run = TrackedRun(manifest, folder, pipeline, catalog, settings.images)
        try:
            settings.picked(run.entries(), settings, dataset.filepath.parent)
        except TrackingError as error:
            # What the run made is there all the same.
            logger.warning("%s", error)
