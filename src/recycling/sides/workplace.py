"""Where sides are looked up: models and ensembles of runs or of now, and CSV files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from recycling.annotations import Annotations
from recycling.annotations.dropped_images import dropped_images
from recycling.backends import Checkpoint
from recycling.backends.shared.model import Task
from recycling.datasets import PathDataset
from recycling.datasets.kept import kept_by
from recycling.experiments import (
    ExperimentError,
    Manifest,
    ManifestFolder,
    Runs,
    facts_of,
    scored_things,
)
from recycling.fingerprints import ContentCache, Graph, Record, Records
from recycling.fingerprints.records import CONTENT
from recycling.pipelines.out_of_fold import joined
from recycling.pipelines.tasks import FORMAT, METRIC, predicted_rows
from recycling.plan import TASKS
from recycling.plan.parameters import shown
from recycling.predictions import SubmissionError, read_submission
from recycling.registry import PickedSettings
from recycling.sides.core import OUT_OF_FOLD, TEST, Part, Side
from recycling.sides.seeds import entry_of, fold_of, of_common_folds, variants
from recycling.splitting import Folds

_TRUTH: dict[Part, tuple[str, ...]] = {
    OUT_OF_FOLD: ("train.annotations", "folds"),
    TEST: ("test.annotations", "cls.test_crops"),
}
"""What predictions are laid beside."""

FOLD, ANY_FOLD = r"\.fold(?:{})", r"\d+|_all"

_THING = re.compile(
    r"(?:(?P<run>.+):)?(?P<task>cls|det|seg)\.(?P<name>\w+)(?:\.fold(?P<fold>\d+|_all))?"
)


class Workplace:
    """Where sides are looked up.

    Args:
        catalog: Of the environment.
        runs: The folder of manifests.
        records: The folder of the records of what is there now.
        parameters: Of the environment.
        env: What it is called; None for the one that is taken by itself.
    """

    def __init__(
        self,
        catalog: DataCatalog,
        runs: Runs,
        records: Path,
        parameters: Mapping[str, Any],
        env: str | None = None,
    ) -> None:
        self.catalog, self.runs, self.records = catalog, runs, records
        self.parameters, self.env = parameters, env
        self.data = records.parent

    def is_run(self, asked: str) -> bool:
        """Whether a whole run is asked for."""
        return not asked.endswith(".csv") and _THING.fullmatch(asked) is None

    def side(self, asked: str, task: Task | None = None) -> Side:
        """Look a side up.

        Args:
            asked: `det.yolox`, `det.yolox.fold0` (or `fold_all`, trained on all), `det.final`; of a
                run, with its name or id before it, `latest~1:det.yolox`; or a CSV file.
            task: What a CSV file predicts, where its form does not tell.

        Raises:
            ExperimentError: There is no such thing.
        """
        if asked.endswith(".csv"):
            return self._file(asked, task)
        found = _THING.fullmatch(asked)
        assert found is not None
        run = None if found["run"] is None else self.runs.find(found["run"])
        return self.thing(asked, cast(Task, found["task"]), found["name"], run, fold=found["fold"])

    def thing(
        self, label: str, task: Task, name: str, run: Manifest | None, *, fold: str | None = None
    ) -> Side:
        """A model or ensemble, of a run or as it is now.

        Raises:
            ExperimentError: There is none, or nothing of it is kept.
        """
        folder = None if run is None else self.runs.folder(run.run_id)
        models = (self.parameters if run is None else run.parameters).get("models") or {}
        outputs = self._outputs(run)
        seeds = [name, *variants(name, models)]
        entry = entry_of(name, models)
        side = Side(label, task, name, is_training=entry in models)
        made: list[str] = []
        for part in (OUT_OF_FOLD, TEST):
            form = f"{task}.{{}}({FOLD.format(fold or ANY_FOLD)})?.{part}_predictions"
            own = [
                keys for seed in seeds if (keys := self._there(form.format(seed), outputs, folder))
            ]
            if part == OUT_OF_FOLD:
                own = of_common_folds(label, own)
                side.folds = frozenset(map(fold_of, own[0] if own and side.is_training else ()))
            elif any(len(keys) > 1 for keys in own):
                # Joined, an object would be found once by each fold.
                side.test_folds = max(map(len, own))
                continue
            if own:
                if folder is None and (why := self._not_of_now(label, part, own)) is not None:
                    side.stale[part] = why
                side.truth[part] = self._truth(task, part, own[0], folder)
                side.predictions[part] = [self._joined(keys, folder) for keys in own]
                made += [key for keys in own for key in keys]
        if not side.predictions and not side.test_folds:
            where = "now" if run is None else f"in {run.run_id}"
            raise ExperimentError(
                f"{label}: nothing that {task}.{name} has predicted is there {where}; kedro "
                "experiments --models lists what is"
            )
        newest = list(self.runs.all().values())[-1:]
        manifest = run or (newest[0] if newest else Manifest("", {}, ""))
        if run is None:
            manifest = _as_now(manifest, made, self.catalog, outputs)
        records = self.records if folder is None else folder.made
        side.facts = facts_of(made, records, manifest, entry)
        return side

    def whole(self, run: Manifest, things: Sequence[tuple[Task, str]]) -> Side:
        """All that a run has scored, as one side without predictions."""
        folder, outputs = self.runs.folder(run.run_id), self._outputs(run)
        keys = [key for key in outputs if tuple(key.split(".")[:2]) in set(things)]
        facts = facts_of(keys, folder.made, run, "")
        return Side(run.name or run.run_id, things[0][0], "", facts)

    def metric(self, task: Task) -> PickedSettings:
        """What a task is judged by."""
        return METRIC[task].model_validate(self.parameters["evaluation"][task])

    def save(self, slug: str, kind: str, value: Any) -> str:
        """Store a table or a picture of a comparison, and say where."""
        name = f"comparison.{slug}.{kind}"
        self.catalog.save(name, value)
        dataset = self.catalog.get(name)
        assert isinstance(dataset, PathDataset)
        return dataset.url or shown(dataset.filepath)

    def things(self, runs: Sequence[Manifest]) -> list[tuple[Task, str]]:
        """The models and ensembles that all of some runs have scored."""
        found = [
            dict.fromkeys((own["task"], own["name"]) for own in scored_things(run)) for run in runs
        ]
        return [thing for thing in found[0] if all(thing in other for other in found[1:])]

    def load(self, name: str, folder: ManifestFolder | None) -> Any:
        """Load a dataset, as a run kept it or as it is now.

        Raises:
            ExperimentError: The run has not kept it.
        """
        dataset = self.catalog.get(name)
        if folder is None:
            return self.catalog.load(name)
        assert isinstance(dataset, PathDataset)
        kept = kept_by(folder, name, dataset)
        if kept is None or not kept.exists():
            raise ExperimentError(f"{folder.path.name}: {name} is not kept; run it again")
        return kept.load()

    def is_there(self, name: str, folder: ManifestFolder | None) -> bool:
        """Whether `load` finds a dataset."""
        dataset = self.catalog.get(name)
        if dataset is None or folder is None or not isinstance(dataset, PathDataset):
            return dataset is not None and bool(self.catalog.exists(name))
        kept = kept_by(folder, name, dataset)
        return kept is not None and kept.exists()

    def _there(self, form: str, outputs: Iterable[str], folder: ManifestFolder | None) -> list[str]:
        """Those datasets of this form that `load` finds."""
        found = sorted(name for name in outputs if re.fullmatch(form, name))
        return [name for name in found if self.is_there(name, folder)]

    def _outputs(self, run: Manifest | None) -> set[str]:
        if run is not None:
            return {name.replace("_metrics", "_predictions") for name in run.scores}
        every = (pipeline.all_outputs() for pipeline in pipelines.values())
        return {name for outputs in every for name in outputs}

    def _truth(
        self, task: Task, part: Part, keys: Sequence[str], folder: ManifestFolder | None
    ) -> Annotations:
        if part == TEST:
            crops = "cls.test_crops"
            asked = task == "cls" and self.is_there(crops, folder)
            return cast(Annotations, self.load(crops if asked else "test.annotations", folder))
        train: Annotations = self.load("train.annotations", folder)
        folds: Folds = self.load("folds", folder)
        numbers = map(fold_of, keys)
        return train.of_images(folds.loc[folds["fold"].isin(numbers), "image_id"])

    def _not_of_now(self, label: str, part: Part, seeds: Iterable[Sequence[str]]) -> str | None:
        """Why predictions cannot be laid beside the truth of now; None where none is known."""
        graph = Graph(Pipeline([]), self.catalog, ContentCache(self.records / CONTENT))
        waiting = [key for keys in seeds for key in keys]
        for output in waiting:
            record = Records(self.records).read(output)
            if not isinstance(record, Record):
                continue
            for name, before in record.ingredients.inputs.items():
                if (
                    name in _TRUTH[part]
                    and graph.content(name) not in (None, before["content"])
                    and record.content == graph.content(output)
                ):
                    return (
                        f"{label}: {name} has changed since {output} was made; predict anew (kedro "
                        f"run --only-missing-outputs), or name the run that made it: RUN:{label}"
                    )
                if name.endswith(f".{part}_predictions") and name not in waiting:
                    waiting.append(name)  # what is fused is of the truth of its members
        return None

    def _joined(self, keys: Sequence[str], folder: ManifestFolder | None) -> Any:
        parts = [self.load(key, folder) for key in keys]
        return parts[0] if len(parts) == 1 else joined(parts)

    def _file(self, asked: str, task: Task | None) -> Side:
        path = Path(asked)
        if not path.is_file():
            raise ExperimentError(f"{asked}: not there; check the path")
        faults: dict[Task, str] = {}
        for own in [task] if task else TASKS:
            settings = FORMAT[own].model_validate(self.parameters["submission"][own])
            test = self._truth(own, TEST, [], None)
            rows = predicted_rows(own, test)
            try:
                read = read_submission(
                    settings, path, rows, test.categories, dropped=dropped_images(test.extra)
                )
            except (SubmissionError, ValueError) as error:
                faults[own] = str(error)
                continue
            return Side(asked, own, asked, None, {TEST: test}, {TEST: [read]})
        if task:
            raise ExperimentError(faults[task])
        raise ExperimentError(
            f"{asked}: not a submission of this project's test images; say which with --task, and "
            "what is wrong is said"
        )


def _as_now(
    manifest: Manifest, made: Sequence[str], catalog: DataCatalog, outputs: Iterable[str]
) -> Manifest:
    """The newest manifest, with what the checkpoints say that are there now."""
    trainings = {}
    for key in made:
        name = f"{key.rpartition('.')[0]}.checkpoint"
        if name in outputs and catalog.exists(name):
            checkpoint: Checkpoint = catalog.load(name)
            trainings[name] = checkpoint.facts
    return replace(manifest, trainings=trainings)
