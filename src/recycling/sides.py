"""What is compared: runs, models and ensembles of runs or of now, and CSV files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from recycling.annotations import Annotations
from recycling.annotations.dropped_images import dropped_images
from recycling.backends import Checkpoint
from recycling.backends.shared.model import Task
from recycling.datasets import PathDataset
from recycling.datasets.kept import kept_by
from recycling.diagnostics import Changes, confusion_counts
from recycling.errors import command, listed
from recycling.experiments import (
    Compared,
    Effect,
    ExperimentError,
    Facts,
    Manifest,
    ManifestFolder,
    Noise,
    Runs,
    compare_scores,
    corrected_sentences,
    differences,
    facts_of,
    in_lines,
    noise_sentence,
    scored_things,
    verdict_on,
)
from recycling.experiments.differences import OWN, RECIPE_FILE, settings_of
from recycling.experiments.effect import Of
from recycling.fingerprints import ContentCache, Graph, Record, Records
from recycling.fingerprints.records import CONTENT
from recycling.pipelines.out_of_fold import joined
from recycling.pipelines.tasks import FORMAT, METRIC, is_labelled, predicted_rows
from recycling.plan import TASKS
from recycling.plan.parameters import shown
from recycling.predictions import SubmissionError, read_submission
from recycling.registry import PickedSettings
from recycling.reporting import (
    RgbImage,
    changed_boxes,
    changed_crops,
    changed_masks,
    confusions_figure,
)
from recycling.splitting import Folds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

OUT_OF_FOLD, TEST = "out_of_fold", "test"
Part = str

TWIN = "_control"
"""How the twin of a model with `control` is called after it."""

CHANGED: dict[Task, Any] = {"cls": changed_crops, "det": changed_boxes, "seg": changed_masks}

_TRUTH: dict[Part, tuple[str, ...]] = {
    OUT_OF_FOLD: ("train.annotations", "folds"),
    TEST: ("test.annotations", "cls.test_crops"),
}
"""What predictions are laid beside."""

FOLD, ANY_FOLD = r"\.fold(?:{})", r"\d+|_all"

_THING = re.compile(
    r"(?:(?P<run>.+):)?(?P<task>cls|det|seg)\.(?P<name>\w+)(?:\.fold(?P<fold>\d+|_all))?"
)


@dataclass(eq=False)
class Side:
    """One of several that are compared.

    Attributes:
        label: As it was asked for.
        task: What it predicts.
        name: Of the model or ensemble; of a file, its path.
        facts: What it was made of; None for a file that nobody knows of.
        truth: By part (`out_of_fold`, `test`), the images that it has predicted on.
        predictions: By part, one for each seed.
        is_training: Whether it is a model, which another seed would have made otherwise.
        test_folds: How many of its folds have predicted the test images, each by itself.
        folds: Of a model, those that its out-of-fold predictions are of.
        stale: By part, why its predictions are of other images, labels or folds than the truth.
    """

    label: str
    task: Task
    name: str
    facts: Facts | None = None
    truth: dict[Part, Annotations] = field(default_factory=dict)
    predictions: dict[Part, list[Any]] = field(default_factory=dict)
    is_training: bool = False
    test_folds: int = 0
    folds: frozenset[int] = frozenset()
    stale: dict[Part, str] = field(default_factory=dict)


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
        seeds = [name, *_variants(name, models)]
        entry = _entry_of(name, models)
        side = Side(label, task, name, is_training=entry in models)
        made: list[str] = []
        for part in (OUT_OF_FOLD, TEST):
            form = f"{task}.{{}}({FOLD.format(fold or ANY_FOLD)})?.{part}_predictions"
            own = [
                keys for seed in seeds if (keys := self._there(form.format(seed), outputs, folder))
            ]
            if part == OUT_OF_FOLD:
                own = _of_common_folds(label, own)
                side.folds = frozenset(map(_fold_of, own[0] if own and side.is_training else ()))
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

    def sentences(self, sides: Sequence[Side], compared: Compared, part: Part) -> list[str]:
        """What may be said of each difference from the first, and what it has to be read with."""
        first, *others = sides
        effects = [compared.effects[other.label] for other in others]
        lines = []
        for other, effect, sentence in zip(
            others, effects, corrected_sentences(effects), strict=True
        ):
            lines += [sentence, *chosen_epoch(first, part), *chosen_epoch(other, part)]
            lines += self._noise_lines(sides, other, effect, part)
        return lines

    def _noise_lines(
        self, sides: Sequence[Side], other: Side, effect: Effect, part: Part
    ) -> list[str]:
        """What is known of the noise between seeds, where one training a side is compared."""
        first = sides[0]
        if not (first.is_training and other.is_training) or effect["seeds"] > 1:
            return []
        if part == TEST:
            return ["how far another seed would have led is measured out of fold alone"]
        # The score of more folds moves less from seed to seed: its noise is another one.
        folds = sorted(frozenset.intersection(*(side.folds for side in sides if side.folds)))
        known = self._noises(first.name, effect["metric"])
        if own := [(noise, run) for noise, run in known if noise["folds"] == folds]:
            noise, run = max(own, key=lambda each: each[0]["seeds"])
            return [noise_sentence(effect["difference"], noise) + _changed_since(run, first)]
        how = f"a study with seeds and folds: {folds} measures it"
        if len(folds) == 1:
            model = f"{first.task}.{first.name}"
            how = command(f"noise {model} --seeds 5 --fold {folds[0]}", self.env)
        if (entry := _entry_of(first.name, self.parameters.get("models") or {})) != first.name:
            how = f"with seeds: [0, 1, 2], models.{entry} and its twin have a verdict"
        if not known:
            return [f"how far another seed would have led is not measured; {how}"]
        others = " and ".join(f"fold {listed(noise['folds'])}" for noise, _ in known)
        return [
            f"how far another seed would have led was measured on {others}, and does not hold "
            f"here; {how}"
        ]

    def _noises(self, model: str, metric: str) -> list[tuple[Noise, Manifest]]:
        """The noises that studies have measured on folds that are known, with their runs."""
        # Not of the pipelines alone: `kedro noise` is a study of its own run.
        made = {
            name: run
            for run in self.runs.all().values()
            for node in run.nodes
            for name in node.outputs
        }
        found = []
        for name, run in sorted(made.items()):
            if re.fullmatch(r"study\.\w+\.summary", name) and self.is_there(name, None):
                noise = self.load(name, None)["noise"]
                of = noise and (noise["model"], noise["metric"])
                if of == (model, metric) and "folds" in noise:
                    found.append((cast(Noise, noise), run))
        return found

    def confusion(self, truth: Annotations, predicted: Mapping[str, Any]) -> Figure:
        """The confusion matrix of each side, one beside the other."""
        return confusions_figure(
            {name: confusion_counts(truth, own) for name, own in predicted.items()}
        )

    def picture(
        self,
        task: Task,
        part: Part,
        truth: Annotations,
        first: Any,
        second: Any,
        changes: Changes,
        names: tuple[str, str],
    ) -> RgbImage:
        """The images on which two differ most."""
        folder = self.catalog.load("test.images" if part == TEST else "train.images")
        drawn: RgbImage = CHANGED[task](
            truth, folder, first, second, changes, best_name=names[0], other_name=names[1]
        )
        return drawn

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
        numbers = map(_fold_of, keys)
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


def _changed_since(run: Manifest, side: Side) -> str:
    """What is said after a noise that a run has measured with other settings than a side's."""
    entry = (run.parameters.get("models") or {}).get(side.name)
    now = {} if side.facts is None else side.facts.settings
    now = {key: now[key] for key in now if key.startswith(OWN) and key != RECIPE_FILE}
    if not now or not isinstance(entry, Mapping):
        return ""
    found = differences(Facts(settings_of(entry)), Facts(now))
    changed = [str(each) for each in found if each.on_purpose]
    return f"; it was measured with other settings ({listed(changed, 3)})" if changed else ""


def _entry_of(name: str, models: Mapping[str, Any]) -> str:
    """The entry of `models` that a training is of: of a twin, its student's.

    >>> _entry_of("yolox_control", {"yolox": {"control": True}})
    'yolox'
    """
    student = models.get(name.removesuffix(TWIN))
    is_twin = isinstance(student, Mapping) and student.get("control")
    return name.removesuffix(TWIN) if is_twin else name


def _variants(name: str, models: Mapping[str, Any]) -> list[str]:
    """The trainings that differ from one in the seed alone; of a twin, the twins of those."""
    entry = _entry_of(name, models)
    return [
        f"{other}{name.removeprefix(entry)}"
        for other, own in models.items()
        if isinstance(own, Mapping)
        and own.get("variant_of") == entry
        and own.get("snapshot") is None
    ]


def _of_common_folds(label: str, seeds: Sequence[Sequence[str]]) -> list[list[str]]:
    """The out-of-fold predictions of each seed, on the folds that all seeds hold out.

    Raises:
        ExperimentError: There is no such fold.
    """
    held_out = [set(map(_fold_of, keys)) for keys in seeds]
    common = set.intersection(*held_out) if held_out else set()
    if left_out := sorted(set().union(*held_out) - common):
        which = f"fold {listed(left_out)}: not every seed has it"
        if not common:
            raise ExperimentError(f"{label}: {which}, and no other is there; train them")
        logger.warning("%s: scored without %s", label, which)
    return [[key for key in keys if _fold_of(key) in common] for keys in seeds]


def _fold_of(key: str) -> int:
    """The fold of a dataset such as ``det.yolox.fold0.out_of_fold_predictions``."""
    return int(key.split(".fold")[1].split(".")[0])


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


@dataclass(frozen=True)
class Scored:
    """What several sides scored on the images that all of them have predicted on.

    Attributes:
        part: `out_of_fold` or `test`.
        truth: The images, with the truth.
        predicted: By side, the predictions of each seed on these images.
        compared: Each with the first; None where the images have no labels.
    """

    part: Part
    truth: Annotations
    predicted: dict[str, list[Any]]
    compared: Compared | None


def what_differs(first: Side, other: Side) -> tuple[dict[str, list[str]], str]:
    """What differs in how two sides were made.

    Returns:
        Lines by whether it was on purpose or came along, and what may be said given all of it.
    """
    if first.facts is None or other.facts is None:
        return {}, "how a file was made is not known"
    found = differences(first.facts, other.facts)
    lines = {
        title: in_lines(each for each in found if each.on_purpose is on_purpose)
        for title, on_purpose in (("on purpose", True), ("came along", False))
    }
    return {title: own for title, own in lines.items() if own}, verdict_on(found)


def chosen_epoch(side: Side, part: Part) -> list[str]:
    """That a model was judged by what chose its epoch, where it was."""
    settings = {} if side.facts is None else side.facts.settings
    name = f"{OWN}early_stopping"
    stops = any(key.startswith(name) and value is not None for key, value in settings.items())
    if part != OUT_OF_FOLD or not stops:
        return []
    return [
        f"{side.label} stopped early by what it scores on these images (early_stopping): its score "
        "is too good by what that gains"
    ]


def check_alike(sides: Sequence[Side]) -> None:
    """Check that all sides predict the same kind of thing.

    Raises:
        ExperimentError: They do not.
    """
    if len({side.task for side in sides}) > 1:
        raise ExperimentError(
            f"{' and '.join(side.label for side in sides)} predict different things"
        )


def score(place: Workplace, sides: Sequence[Side]) -> Scored:
    """Score sides that are alike, each against the first.

    Raises:
        ExperimentError: They have no image in common.
    """
    part = shared_part(sides)
    truth = common_images(sides, part)
    predicted = {
        side.label: [only_on(truth, own) for own in side.predictions[part]] for side in sides
    }
    compared = None
    if is_labelled(truth):
        of: Of = "trainings" if all(side.is_training for side in sides) else "predictions"
        compared = compare_scores(place.metric(sides[0].task), truth, predicted, of=of)
    return Scored(part, truth, predicted, compared)


def common_images(sides: Sequence[Side], part: Part) -> Annotations:
    """The images that all sides have predicted on, with the truth of the last side.

    Raises:
        ExperimentError: There is none, the sides know different categories, or one has predicted
            before the images, their labels or the folds became what they are now.
    """
    for side in sides:
        if part in side.stale:
            raise ExperimentError(side.stale[part])
    _check_categories(sides, part)
    tables = [side.truth[part].images for side in sides]
    names = [dict(zip(t["image_id"], t["file_name"], strict=True)) for t in tables]
    last = names[-1]
    same = [image for image, file in last.items() if all(own.get(image) == file for own in names)]
    if not same:
        raise ExperimentError(
            f"{' and '.join(side.label for side in sides)} have no image in common ({part})"
        )
    return sides[-1].truth[part].of_images(same)


def _check_categories(sides: Sequence[Side], part: Part) -> None:
    """Check that a number is the same category on all sides: label maps have nothing else."""
    tables = [side.truth[part].categories for side in sides]
    known = [list(zip(own["category_id"], own["name"], strict=True)) for own in tables]
    for side, own in zip(sides, known, strict=True):
        if own != known[-1]:
            one, other = (listed(name for _, name in each) for each in (own, known[-1]))
            raise ExperimentError(
                f"{side.label} and {sides[-1].label} know other categories, or in another order "
                f"({one}; {other}); run one of them again with those of the other"
            )


def only_on(truth: Annotations, predictions: Any) -> Any:
    """Predictions of some images alone."""
    if not isinstance(predictions, pd.DataFrame):
        ids = set(truth.images["image_id"].tolist())
        kept = [image_id for image_id in predictions if image_id in ids]
        return type(predictions)(kept, predictions.__getitem__)
    key = "image_id" if "image_id" in predictions else "annotation_id"
    table = truth.images if key == "image_id" else truth.annotations
    return predictions[predictions[key].isin(table[key])].reset_index(drop=True)


def shared_part(sides: Sequence[Side]) -> Part:
    """Where all sides have predicted: out of fold, else the test images.

    Raises:
        ExperimentError: Nowhere.
    """
    for part in (OUT_OF_FOLD, TEST):
        if all(part in side.predictions for side in sides):
            return part
    for side in sides:
        if side.test_folds and TEST not in side.predictions:
            raise ExperimentError(
                f"{side.label}: {side.test_folds} folds have predicted the test images, each by "
                f"itself; name one of them, {side.label}.fold0, or an ensemble of it"
            )
    raise ExperimentError(
        f"{' and '.join(side.label for side in sides)} have not predicted the same images"
    )
