"""Writes the scores of all tasks and the report at the end of every run, from what there is."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from recycling.annotations import Annotations
from recycling.datasets import CheckpointDataset, PathDataset
from recycling.errors import command, message_for_user
from recycling.hooks.manifests import RUNS
from recycling.plan.parameters import shown
from recycling.plan.records import FINAL, TASKS
from recycling.runners import NodesFailedError

if TYPE_CHECKING:
    from recycling.experiments import Effect
    from recycling.reporting.sections.answers import Results

logger = logging.getLogger(__name__)

REPORT, SUMMARY = "report", "summary"
"""The catalog entries that this hook writes; a project without them has none."""

OWN_FAULT = "a fault of this program; please report it with the lines below"


class ReportHooks:
    """Writes what is said of a run when it has ended."""

    @hook_impl
    def on_pipeline_error(
        self,
        error: Exception,
        run_params: Mapping[str, Any],
        pipeline: Pipeline,
        catalog: DataCatalog,
    ) -> None:
        """The same where some nodes failed, and the others are done."""
        if isinstance(error, NodesFailedError):
            self.after_pipeline_run(run_params, pipeline, catalog)

    @hook_impl
    def after_pipeline_run(
        self, run_params: Mapping[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Write the summary of the scores, where some are new, and the report."""
        outputs = _Outputs(catalog, run_params.get("env"))
        if SUMMARY in catalog and any(f"{task}.scores" in pipeline.all_outputs() for task in TASKS):
            catalog.save(SUMMARY, outputs.of_tasks("scores"))
        if REPORT in catalog and RUNS in catalog:
            try:
                catalog.save(REPORT, outputs.report())
            except Exception as error:  # the run has ended, and what it made is there all the same
                _say_why_not(error)


def _say_why_not(error: Exception) -> None:
    """One line where an earlier run's outputs are at fault; where this program is, its place."""
    line = message_for_user(error)
    if line is None:
        logger.exception("%s: could not be written: %s", REPORT, OWN_FAULT)
    else:
        logger.warning("%s: could not be written: %s", REPORT, line)


def shown_place(dataset: PathDataset[Any]) -> str | None:
    """Where a value is, as a user would write it; None where there is none."""
    if dataset.url is not None:
        return dataset.url if dataset.exists() else None
    return None if (path := dataset.stored) is None else shown(path)


class _Outputs:
    """What the runs of this project have made."""

    def __init__(self, catalog: DataCatalog, env: str | None) -> None:
        self._catalog, self._env = catalog, env
        registered = (pipelines[name] for name in ("__default__", "label_errors"))
        self._made = sum(registered, start=Pipeline([])).all_outputs()

    def of_tasks(self, name: str) -> dict[str, Any]:
        """A dataset of each task, where it is there."""
        found = {str(task): self._value(f"{task}.{name}") for task in TASKS}
        return {task: value for task, value in found.items() if value is not None}

    def report(self) -> str:
        """The page."""
        from recycling.reporting.report import run_report

        pages, missing, old = {}, {}, {}
        for heading, (name, how) in self._pages():
            page = self._value(name)
            if page is None:
                missing[heading] = how
            else:
                pages[heading] = page
                if self._is_old(name):
                    old[heading] = how
        runs = list(self._catalog.load(RUNS).all().values())
        # Where all was up to date, what is shown is of the run before.
        run = next((each for each in reversed(runs) if each.nodes or each.failed), runs[-1])
        results, submissions = self._results(run.parameters), self._submissions()
        return run_report(run, results, pages, missing, old, submissions)

    def _pages(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """The pages that there can be: heading, dataset, and the command that makes it."""
        from recycling.reporting.scores import TITLES

        steps = {"Data": ("data_report", "data_cleaning"), "Folds": ("folds_report", "splitting")}
        for task, title in TITLES.items():
            steps[f"Models of {title}"] = (f"{task}.models_report", f"training_{task}")
            steps[f"Ensembles of {title}"] = (f"{task}.ensembles_report", "ensembling")
        for heading, (name, pipeline) in steps.items():
            if name in self._made:
                yield heading, (name, command(f"run --pipelines {pipeline}", self._env))

    def _is_old(self, name: str) -> bool:
        """Whether a file that a page was made of has been written after it."""
        taken = pipelines["__default__"].only_nodes_with_outputs(name).inputs()
        page = self._dataset(name)
        made = None if page is None else page.written()
        files = [each for each in map(self._dataset, taken) if each is not None]
        times = [file.written() for file in files if not file.is_folder]
        return made is not None and any(time is not None and time > made for time in times)

    def _results(self, parameters: Mapping[str, Any]) -> Results:
        from recycling.reporting.sections.answers import Results

        effects: dict[str, list[Effect]] = {}
        for student, effect in self._by_name("pseudo_effect").items():
            effects.setdefault(student.partition(".")[0], []).append(effect)
        annotations = self._value("train.annotations")
        label_errors = self._value("label_errors")
        return Results(
            summary=self.of_tasks("scores"),
            explanations=self.of_tasks(f"{FINAL}.explanation"),
            on_test=self.of_tasks(f"{FINAL}.test_metrics"),
            contributions=self.of_tasks(f"{FINAL}.contributions"),
            class_gains=self.of_tasks(f"{FINAL}.class_gains"),
            confusions=self.of_tasks(f"{FINAL}.confusion"),
            effects=effects,
            models=parameters.get("models") or {},
            trainings=self._trainings(),
            counts={} if annotations is None else _counts(annotations),
            label_errors=None if label_errors is None else len(label_errors),
            env=self._env,
        )

    def _trainings(self) -> dict[str, Any]:
        """What each checkpoint that is there says of its training."""
        names = sorted(name for name in self._made if name.endswith(".checkpoint"))
        found = {name.removesuffix(".checkpoint"): self._dataset(name) for name in names}
        return {
            name: dataset.described().facts
            for name, dataset in found.items()
            if isinstance(dataset, CheckpointDataset)
        }

    def _submissions(self) -> dict[str, str]:
        """Where the submissions of the final ensembles are, by task."""
        found = {task: self._dataset(f"{task}.{FINAL}.submission") for task in TASKS}
        return {
            str(task): place
            for task, dataset in found.items()
            if dataset is not None and (place := shown_place(dataset)) is not None
        }

    def _by_name(self, kind: str) -> dict[str, Any]:
        """The outputs of a kind that are there, by the training or student that they are of."""
        names = sorted(name for name in self._made if name.endswith(f".{kind}"))
        values = {name.removesuffix(f".{kind}"): self._value(name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def _dataset(self, name: str) -> PathDataset[Any] | None:
        """A dataset that a run of this project can make, and has made."""
        dataset = self._catalog.get(name) if name in self._made else None
        return dataset if isinstance(dataset, PathDataset) and dataset.exists() else None

    def _value(self, name: str) -> Any:
        dataset = self._dataset(name)
        return None if dataset is None else dataset.load()


def _counts(annotations: Annotations) -> dict[str, int]:
    """How many objects there are of each class."""
    names = annotations.categories.set_index("category_id")["name"]
    found = annotations.objects().annotations["category_id"].map(names).value_counts()
    return {str(name): int(count) for name, count in found.items()}
