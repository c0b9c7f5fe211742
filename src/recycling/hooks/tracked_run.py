"""What a tracker gets of a run: an entry for each training, and one for the run itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from recycling.annotations import Annotations, ImageFolder
from recycling.backends.shared.model import Task
from recycling.backends.shared.training_log import training_log
from recycling.datasets import PathDataset, RunFolderDataset
from recycling.datasets.kept import kept_by
from recycling.errors import one_line
from recycling.experiments import Manifest, ManifestFolder
from recycling.fingerprints import Record, Records
from recycling.tracking import Entry, PredictedImage

logger = logging.getLogger(__name__)

TOOK = (
    "seconds", "minutes_per_epoch", "images_per_second", "waiting_share", "peak_megabytes",
    "iterations",
)  # fmt: skip
"""What a checkpoint says of how its training went."""


@dataclass(frozen=True)
class TrackedRun:
    """A run, and what of it is tracked.

    Attributes:
        manifest: What the run was, did and gave.
        folder: Its folder, with what it kept.
        pipeline: What ran.
        catalog: Where its outputs are.
        images: How many images a table of predictions shows.
    """

    manifest: Manifest
    folder: ManifestFolder
    pipeline: Pipeline
    catalog: DataCatalog
    images: int

    def entries(self) -> Iterator[Entry]:
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
        """A training that came to its end, however the run did."""
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
            stopped=self.manifest.state == "stopped",
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
        dataset = self.catalog.get("runs")
        if not isinstance(dataset, RunFolderDataset):
            return []
        return [
            {key: value for key, value in line.items() if value is not None}
            for line in training_log(dataset.filepath / space)
        ]

    def _predicted(self, space: str) -> list[PredictedImage]:
        """Some test images with what is true and what is predicted, evenly spread by id."""
        task, name = cast(Task, space.split(".")[0]), f"{space}.test_predictions"
        crops = f"{task}.test_crops"
        part = crops if crops in self.pipeline.datasets() else "test.annotations"
        needed = (name, part, "test.images")
        if not all(self.catalog.exists(each) for each in needed):
            return []
        try:
            predictions, truth, folder = (self.catalog.load(each) for each in needed)
            return list(_drawn(name, task, truth, folder, predictions, self.images))
        except (OSError, ValueError) as error:  # an image is not at hand
            logger.warning("%s: no images of it are tracked: %s", name, one_line(error))
            return []

    def _fingerprints(self, names: list[str]) -> dict[str, str]:
        """What datasets hold, and what those they were made of held."""
        found: dict[str, str | None] = {}
        for name in names:
            record = self._record(name)
            if record is not None:
                inputs = record.ingredients.inputs
                found |= {each: facts.get("content") for each, facts in inputs.items()}
                found[name] = record.content
        return {name: content for name, content in found.items() if content}

    def _taken(self, name: str) -> list[str]:
        """What a dataset was made of."""
        record = self._record(name)
        return [] if record is None else sorted(record.ingredients.inputs)

    def _record(self, name: str) -> Record | None:
        """What a dataset was made of, as the run noted it, if that can be read."""
        record = Records(self.folder.made).read(name)
        return None if isinstance(record, str) else record

    def _kept(self, names: list[str]) -> dict[str, Path]:
        """Where what the run keeps of datasets lies; a later run does not write there."""
        found = {}
        for name in names:
            dataset = self.catalog.get(name)
            kept = kept_by(self.folder, name, dataset) if isinstance(dataset, PathDataset) else None
            if kept is not None and (path := kept.stored) is not None:
                found[name] = path
        return found

    def _files(self, names: list[str]) -> dict[str, Path]:
        """Where datasets lie that the run does not keep: submissions."""
        kept = self._kept(names)
        stored = {name: self._stored(name) for name in names if name not in kept}
        return {name: path for name, path in stored.items() if path is not None}

    def _stored(self, name: str) -> Path | None:
        dataset = self.catalog.get(name)
        return dataset.stored if isinstance(dataset, PathDataset) else None


def _drawn(
    name: str, task: Task, truth: Annotations, folder: ImageFolder, predictions: Any, n: int
) -> Iterator[PredictedImage]:
    """Images of a table of predictions, `n` evenly spread; of crops, those that have some."""
    from recycling.reporting import GRIDS

    rows = truth.annotations if task == "cls" else truth.images
    ids = np.unique(rows["image_id"].to_numpy())
    for at in np.unique(np.linspace(0, len(ids) - 1, min(n, len(ids))).astype(int)):
        image = truth.of_images([int(ids[at])])
        file_name, objects = str(image.images["file_name"].iloc[0]), len(image.annotations)
        yield PredictedImage(name, file_name, objects, GRIDS[task](image, folder, predictions))
