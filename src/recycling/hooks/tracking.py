"""Hands what a run leaves to the tracker that the parameters name."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.model import Task
from recycling.backends.shared.training_log import METRICS
from recycling.datasets import PathDataset, RunFolderDataset, RunsDataset
from recycling.errors import one_line
from recycling.experiments import Manifest, ManifestFolder
from recycling.fingerprints import Records
from recycling.hooks.manifests import RUNS
from recycling.hooks.up_to_date import records_folder
from recycling.plan.parameters import ParameterError, faults, source_of
from recycling.tracking import Entry, PredictedImage, Tracking, TrackingError, read_tracking

logger = logging.getLogger(__name__)

TOOK = (
    "seconds", "minutes_per_epoch", "images_per_second", "waiting_share", "peak_megabytes",
    "iterations",
)  # fmt: skip
"""What a checkpoint says of how its training went."""


class TrackingHooks:
    """Tracks each training of a run, and the run itself, once its manifest is written.

    Args:
        settings: Who keeps the runs; by default as the parameters say.
        data: The folder of all outputs; by default that of the project.
    """

    def __init__(self, settings: Tracking | None = None, data: Path | None = None) -> None:
        self._settings, self._data = settings, data

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
        self._data = records_folder(context).parent
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
        dataset = catalog.get(RUNS) if RUNS in catalog else None
        settings, data = self._settings, self._data
        if not isinstance(dataset, RunsDataset) or settings is None or data is None:
            return
        runs = dataset.load()
        manifest = runs.find(str(run_params.get("run_id") or "latest"))
        if not any(node.outputs for node in manifest.nodes):
            return
        folder = runs.folder(manifest.run_id)
        entries = EntriesOfRun(manifest, folder, pipeline, catalog, data, settings.images)
        try:
            settings.picked(entries.all(), settings, dataset.filepath.parent)
        except TrackingError as error:
            # What the run made is there all the same.
            logger.warning("%s", error)


@dataclass(frozen=True)
class EntriesOfRun:
    """What is to be tracked of a run.

    Attributes:
        manifest: What the run was, did and gave.
        folder: Its folder, with what it kept.
        pipeline: What ran.
        catalog: Where its outputs are.
        data: The folder of all outputs.
        images: How many images a table of predictions shows.
    """

    manifest: Manifest
    folder: ManifestFolder
    pipeline: Pipeline
    catalog: DataCatalog
    data: Path
    images: int

    def all(self) -> Iterator[Entry]:
        """An entry for each training that the run has done, and one for the run."""
        made = [name for node in self.manifest.nodes for name in node.outputs]
        trained = [
            name.removesuffix(".checkpoint") for name in made if name.endswith(".checkpoint")
        ]
        for space in trained:
            yield self._training(space)
        others = [name for name in made if not name.startswith(tuple(f"{s}." for s in trained))]
        yield self._run(others)

    def _training(self, space: str) -> Entry:
        facts = self.manifest.trainings.get(f"{space}.checkpoint", {})
        model = facts.get("model", {})
        gives = [name for name in self.pipeline.all_outputs() if name.startswith(f"{space}.")]
        tags = (space.split(".")[0], model.get("backend"), model.get("recipe"))
        took = {name: facts[name] for name in TOOK if facts.get(name) is not None}
        return Entry(
            name=f"{space}-{self.manifest.run_id}",
            kind="training",
            group=model.get("study") or self._group(),
            tags=tuple(str(tag) for tag in tags if tag),
            parameters=model,
            fingerprints=self._fingerprints([f"{space}.checkpoint", *gives]),
            scores={**self._scores(space), **took},
            curves=self._curves(space),
            predictions=self._predicted(space),
            takes=self._kept(self._taken(f"{space}.checkpoint")),
            gives=self._kept(gives),
            failed=self.manifest.state == "failed",
        )

    def _run(self, made: list[str]) -> Entry:
        spaces = {name.rpartition(".")[0] for name in made if name.endswith(".test_predictions")}
        gives = [
            name for name in made if name.rpartition(".")[2] in ("test_predictions", "submission")
        ]
        taken = {taken for name in gives for taken in self._taken(name)} - set(gives)
        scores = {
            f"{space}/{name}": value
            for space in sorted(spaces)
            for name, value in self._scores(space).items()
        }
        pages = {
            name: path
            for name in made
            if (path := self._stored(name)) is not None and path.suffix == ".html"
        }
        tasks = sorted({space.split(".")[0] for space in spaces})
        env = self.manifest.asked.get("env")
        return Entry(
            name=self.manifest.run_id,
            kind="run",
            group=self._group(),
            tags=(*tasks, env) if env else tuple(tasks),
            parameters=self.manifest.parameters,
            fingerprints=self._fingerprints([*made, *taken]),
            scores={**scores, "minutes": self.manifest.minutes or 0.0},
            predictions=[each for space in sorted(spaces) for each in self._predicted(space)],
            pages=pages,
            takes=self._kept(sorted(taken)),
            gives={**self._kept(gives), **self._files(gives)},
            failed=self.manifest.state == "failed",
        )

    def _group(self) -> str:
        """The study that the run is of, or the run."""
        asked = self.manifest.asked.get("pipeline_names") or []
        studies = [name.removeprefix("study_") for name in asked if name.startswith("study_")]
        return studies[0] if studies else self.manifest.run_id

    def _scores(self, space: str) -> dict[str, float]:
        """Scores, their intervals, those of classes and other figures, on both parts."""
        found: dict[str, float] = {}
        for part in ("out_of_fold", "test"):
            own = self.manifest.scores.get(f"{space}.{part}_metrics")
            if own is None or own["score"] is None:
                continue
            found[f"{part}/{own['metric']}"] = own["score"]
            if own.get("interval"):
                found[f"{part}/low"], found[f"{part}/high"] = own["interval"]
            found |= {f"{part}/{name}": value for name, value in own["details"].items()}
            found |= {f"{part}/class/{name}": value for name, value in own["per_class"].items()}
        return found

    def _curves(self, space: str) -> list[dict[str, float]]:
        """What a training wrote of each epoch; nothing where it left no log."""
        dataset = self.catalog.get("runs") if "runs" in self.catalog else None
        if not isinstance(dataset, RunFolderDataset):
            return []
        path = dataset.filepath / space / METRICS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [
            {key: value for key, value in json.loads(line).items() if value is not None}
            for line in lines
        ]

    def _predicted(self, space: str) -> list[PredictedImage]:
        """Some test images with what is true and what is predicted, evenly spread by id."""
        task, name = cast(Task, space.split(".")[0]), f"{space}.test_predictions"
        crops = f"{task}.test_crops"
        part = crops if crops in self.pipeline.datasets() else "test.annotations"
        needed = (name, part, "test.images")
        if not all(each in self.catalog and self.catalog.exists(each) for each in needed):
            return []
        try:
            predictions, truth, folder = (self.catalog.load(each) for each in needed)
            return list(_drawn(name, task, truth, folder, predictions, self.images))
        except (OSError, ValueError) as error:  # an image is not at hand
            logger.warning("%s: no images of it are tracked: %s", name, one_line(error))
            return []

    def _fingerprints(self, names: list[str]) -> dict[str, str]:
        """What datasets hold, and what those they were made of held."""
        found: dict[str, str] = {}
        records = Records(self.folder.made)
        for name in names:
            record = records.read(name)
            if record is None or isinstance(record, str):
                continue
            inputs = {
                each: facts.get("content") for each, facts in record.ingredients.inputs.items()
            }
            found |= {each: content for each, content in inputs.items() if content}
            if record.content:
                found[name] = record.content
        return found

    def _taken(self, name: str) -> list[str]:
        """What a dataset was made of."""
        record = Records(self.folder.made).read(name)
        if record is None or isinstance(record, str):
            return []
        return sorted(record.ingredients.inputs)

    def _kept(self, names: list[str]) -> dict[str, Path]:
        """Where what the run keeps of datasets lies; a later run does not write there."""
        found = {}
        for name in names:
            path = self._stored(name)
            if path is not None and path.is_relative_to(self.data):
                kept = self.folder.kept / path.relative_to(self.data)
                if kept.exists():
                    found[name] = kept
        return found

    def _files(self, names: list[str]) -> dict[str, Path]:
        """Where datasets lie that the run does not keep: submissions."""
        kept = self._kept(names)
        stored = {name: self._stored(name) for name in names if name not in kept}
        return {name: path for name, path in stored.items() if path is not None}

    def _stored(self, name: str) -> Path | None:
        dataset = self.catalog.get(name) if name in self.catalog else None
        return dataset.stored if isinstance(dataset, PathDataset) else None


def _drawn(
    name: str, task: Task, truth: Annotations, folder: ImageFolder, predictions: Any, n: int
) -> Iterator[PredictedImage]:
    """Images of a table of predictions, evenly spread; of crops, those that have some."""
    from recycling.reporting import GRIDS

    rows = truth.annotations if task == "cls" else truth.images
    ids = np.unique(rows["image_id"].to_numpy())
    for at in np.unique(np.linspace(0, len(ids) - 1, min(n, len(ids))).astype(int)):
        image = truth.of_images([int(ids[at])])
        file_name, objects = str(image.images["file_name"].iloc[0]), len(image.annotations)
        yield PredictedImage(name, file_name, objects, GRIDS[task](image, folder, predictions))
