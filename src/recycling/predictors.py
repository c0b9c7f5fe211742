"""What predicts, by name: a model, one of its folds or an ensemble, as the last run left it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
from kedro.io import DataCatalog

from recycling.annotations import CATEGORIES, Annotations
from recycling.backends import Checkpoint, Images, LoadedModel, backend_for
from recycling.backends.shared.model import Task
from recycling.ensembling import calibration_of, fuse
from recycling.inference import Fuse, InferenceError, Predictor, Tiles, tiled
from recycling.inference.exported import is_exported, onnx_predictor
from recycling.pipelines.calibrating import split_out_of_fold
from recycling.pipelines.ensembling import ranker
from recycling.pipelines.fusing import (
    calibrators_for,
    chosen_settings,
    fuser,
    fusion_inputs,
    image_sizes,
    used_members,
)
from recycling.pipelines.out_of_fold import common_images, joined_tables, probabilities_key
from recycling.plan import FUSION, EnsemblePlan, Member, Plan, TrainingPlan
from recycling.plan.parameters import nearest
from recycling.predictions import Predictions, ProbableLabelMaps
from recycling.pseudo_labels import (
    PseudoLabeling,
    Thresholds,
    choose_thresholds,
    grade_boxes,
    grade_crops,
)
from recycling.registry import PickedSettings

_NAME = re.compile(r"(?P<task>cls|det|seg)\.(?P<name>\w+(?:\.fold(?:\d+|_all))?)")


@dataclass(frozen=True)
class Loading:
    """How models are loaded.

    Attributes:
        device: What torch computes on; None for the GPU where there is one.
        batch_size: Images that are predicted together; None for as many as in training.
        tiles: How large images are cut, if they are.
    """

    device: str | None = None
    batch_size: int | None = None
    tiles: Tiles | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of models that take the place of their own."""
        return {} if self.batch_size is None else {"batch_size": self.batch_size}


@dataclass(frozen=True)
class Asked:
    """What a name means.

    Attributes:
        name: As it was asked for.
        task: What it predicts.
        trainings: The trained models that predict.
        ensemble: How they are fused, where that is said of an ensemble; None of a model.
    """

    name: str
    task: Task
    trainings: tuple[TrainingPlan, ...]
    ensemble: EnsemblePlan | None = None


def predictor_of(
    name: str, plan: Plan | None, catalog: DataCatalog, loading: Loading | None = None
) -> Predictor:
    """Load what a name means, once, to predict with it again and again.

    An ensemble is fused as on the test images: by the settings, the choice of a search, the ranking
    and the calibration of the run. The folds of a model are fused as where a search leaves a model
    alone: by the default method of its task.

    Args:
        name: `det.final`, `det.yolox`, `det.yolox.fold0`, or the path of an exported file.
        plan: Of the environment; None where exported files alone are named.
        catalog: Of the environment.
        loading: How models are loaded; None for as in training.

    Raises:
        InferenceError: There is no such thing, it is not trained, or a file is among its members.
        BackendError: A checkpoint cannot be used.
    """
    loading = loading or Loading()
    if is_exported(name):
        return _exported(Path(name), loading)
    asked = look_up(name, plan)
    known = _known(asked, catalog)
    used = _used(asked, known)
    checkpoints = {own.name: _checkpoint(own, catalog) for own in used}
    settings = loading.settings
    if asked.task == "seg" and loading.tiles is not None:
        settings["probabilities"] = True
    members: dict[str, LoadedModel] = {
        own: backend_for(checkpoint.backend).load(checkpoint, device=loading.device, **settings)
        for own, checkpoint in checkpoints.items()
    }
    predictor = Predictor(
        name,
        asked.task,
        _categories(name, members),
        members,
        _fusion(asked, known, list(members)),
        _identity(name, checkpoints, known),
    )
    return predictor if loading.tiles is None else tiled(predictor, loading.tiles)


def _exported(path: Path, loading: Loading) -> Predictor:
    predictor = onnx_predictor(path, batch_size=loading.batch_size)
    if loading.tiles is None:
        return predictor
    if predictor.task == "seg":
        raise InferenceError(
            f"--tiles: {path} gives labels, and tiles are put together by probabilities; predict "
            "with the model that was exported"
        )
    return tiled(predictor, loading.tiles)


def task_of(name: str, plan: Plan | None) -> Task:
    """What is predicted by a model, an ensemble or an exported file.

    Args:
        name: As of `predictor_of`.
        plan: Of the environment.

    Raises:
        InferenceError: There is no such thing.
    """
    if is_exported(name):
        return onnx_predictor(Path(name)).task
    return look_up(name, plan).task


def checkpoints_of(name: str, plan: Plan, catalog: DataCatalog) -> dict[str, Checkpoint]:
    """The trained models behind a name, by names such as ``det.yolox.fold0``.

    Args:
        name: As of `predictor_of`.
        plan: Of the environment.
        catalog: Of the environment.

    Raises:
        InferenceError: There is no such thing, or one of them is not trained.
    """
    return {own.namespace: _checkpoint(own, catalog) for own in look_up(name, plan).trainings}


def look_up(name: str, plan: Plan | None) -> Asked:
    """What a name means.

    Args:
        name: `det.final`, `det.yolox` or `det.yolox.fold0`.
        plan: Of the environment.

    Raises:
        InferenceError: There is no such thing, or a file is among its members.
    """
    if plan is None or is_exported(name):
        raise InferenceError(f"{name}: an exported file; name the model that was exported")
    trainings = [own for own in plan.trainings if own.study is None]
    names = [f"{own.task}.{own.name}" for own in plan.ensembles]
    names += [own.namespace for own in trainings]
    names += dict.fromkeys(f"{own.task}.{own.model}" for own in trainings)
    if _NAME.fullmatch(name) is None or name not in names:
        raise InferenceError(f"--with {name}: {nearest(name, dict.fromkeys(names))}")
    for ensemble in plan.ensembles:
        if ensemble.namespace == name:
            return Asked(name, ensemble.task, _trainings_in(ensemble), ensemble)
    own = [each for each in trainings if name in (each.namespace, f"{each.task}.{each.model}")]
    return Asked(name, own[0].task, tuple(own))


def _trainings_in(ensemble: EnsemblePlan) -> tuple[TrainingPlan, ...]:
    files = [own.name for own in ensemble.members if not isinstance(own, TrainingPlan)]
    if files:
        raise InferenceError(
            f"{ensemble.namespace}: {files[0]} is a file of predictions, which predicts nothing "
            "new; name a model, or an ensemble without it"
        )
    return cast(tuple[TrainingPlan, ...], ensemble.members)


# What a run has left ------------------------------------------------------------------------------


def _known(asked: Asked, catalog: DataCatalog) -> dict[str, Any]:
    """The inputs of the fusion but for what members predict, by argument."""
    members = asked.trainings
    if asked.ensemble is None:
        if len(members) == 1:
            return {}
        metrics = {own.name: own.out_of_fold_metrics for own in members if own.has_out_of_fold}
        metrics = {name: key for name, key in metrics.items() if catalog.exists(key)}
        scores = {name: catalog.load(key) for name, key in metrics.items()}
        settings = FUSION[asked.task].model_validate({})
        return {"ranking": ranker([own.name for own in members])(**scores), "settings": settings}
    nothing = {own.name: "" for own in members}
    inputs = fusion_inputs(asked.ensemble, nothing, nothing, "")
    known = {key: _loaded(name, asked, catalog) for key, name in inputs.items() if name}
    known["settings"] = FUSION[asked.task].model_validate(known["settings"])
    return known


def _loaded(name: str, asked: Asked, catalog: DataCatalog) -> Any:
    if not catalog.exists(name):
        raise InferenceError(
            f"{asked.name}: {name} is not there; fuse it first: kedro run --pipelines ensembling"
        )
    return catalog.load(name)


def _used(asked: Asked, known: Mapping[str, Any]) -> list[TrainingPlan]:
    """The trainings that have a say: a search may have left some out."""
    names = [own.name for own in asked.trainings]
    if "choice" in known:
        names = used_members(names, known["settings"], known["choice"])
    return [own for own in asked.trainings if own.name in names]


def _checkpoint(training: TrainingPlan, catalog: DataCatalog) -> Checkpoint:
    if not catalog.exists(training.checkpoint):
        raise InferenceError(
            f"{training.namespace} is not trained; kedro run --namespaces {training.namespace}"
        )
    checkpoint: Checkpoint = catalog.load(training.checkpoint)
    return checkpoint


def _categories(name: str, members: Mapping[str, LoadedModel]) -> pd.DataFrame:
    """What the members know, which has to be the same."""
    known = {own: list(map(dict, member.categories)) for own, member in members.items()}
    first = next(iter(known))
    for own, categories in known.items():
        if categories != known[first]:
            raise InferenceError(
                f"{name}: {first} and {own} know different categories; train them again"
            )
    table = pd.DataFrame(known[first]).assign(supercategory="", extra=None)
    return CATEGORIES.conform(table, where=f"categories of {name}")


def _identity(name: str, checkpoints: Mapping[str, Checkpoint], known: Mapping[str, Any]) -> str:
    """A hash of all that says what is predicted."""
    facts = {own: checkpoint.facts for own, checkpoint in checkpoints.items()}
    weights = {own: (each["weights_sha256"], each["model"]) for own, each in facts.items()}
    fused = {key: known[key] for key in ("ranking", "settings", "choice") if key in known}
    said = json.dumps([name, weights, fused], default=_as_text, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _as_text(value: Any) -> str:
    return str(value.to_csv() if isinstance(value, pd.DataFrame) else value.model_dump_json())


# Fusion -------------------------------------------------------------------------------------------


def _fusion(asked: Asked, known: Mapping[str, Any], names: Sequence[str]) -> Fuse | None:
    """How the members' predictions become one, as the run fuses those of the test images."""
    if not known:
        return None
    if asked.ensemble is None:
        return _fusion_of_folds(asked.task, known)
    learnt = _learnt(known, names)
    function: Callable[..., Predictions] = fuser(asked.ensemble)
    takes_probabilities = asked.ensemble.takes == "probabilities"

    def fuse_members(said: Mapping[str, Predictions], images: Images) -> Predictions:
        inputs: dict[str, Any] = dict(learnt)
        for name, own in said.items():
            planes = own.probabilities if isinstance(own, ProbableLabelMaps) else None
            inputs[name] = planes if takes_probabilities else own
            if planes is not None and asked.ensemble and asked.ensemble.search is not None:
                inputs[probabilities_key(name)] = planes
        if asked.task == "seg":
            inputs["images"] = _annotations_of(images)
        return function(**inputs)

    return fuse_members


def _fusion_of_folds(task: Task, known: Mapping[str, Any]) -> Fuse:
    ranking = known["ranking"]
    ranks = dict(zip(ranking["member"].tolist(), ranking["rank"].tolist(), strict=True))

    def fuse_folds(said: Mapping[str, Predictions], images: Images) -> Predictions:
        sizes = image_sizes(images.table) if task == "seg" else None
        fused: Predictions = fuse(known["settings"], said, ranks=ranks, sizes=sizes)
        return fused

    return fuse_folds


def _learnt(known: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The inputs, with calibrators in place of what these are learnt on."""
    settings: PickedSettings = known["settings"]
    taken = chosen_settings(settings, names, known.get("choice"))
    if "folds" in known or calibration_of(taken) == "none":
        return dict(known)
    given, out_of_fold = split_out_of_fold(known)
    train = given.pop("train")
    return {**given, "calibrators": calibrators_for(taken, train, out_of_fold)}


def _annotations_of(images: Images) -> Annotations:
    """The images alone: of what a fusion is given it looks at their sizes."""
    nothing = pd.DataFrame()
    return Annotations(images.table, nothing, nothing)


# Promises -----------------------------------------------------------------------------------------


def promised_thresholds(
    name: str, plan: Plan | None, catalog: DataCatalog, precision: float
) -> tuple[Thresholds, PseudoLabeling]:
    """From which score on boxes, or classes, are right as often as is promised.

    It is learnt as for pseudo-labels, on labelled images that none of the models has seen.

    Args:
        name: As of `predictor_of`.
        plan: Of the environment.
        catalog: Of the environment.
        precision: The share of right that is promised.

    Returns:
        The threshold of each category; and the settings of the promise, whose `cap` says of how
        many on an image it is.

    Raises:
        InferenceError: There are no predictions to learn it on, or nothing can be promised.
    """
    asked = look_up(name, plan)
    if asked.task == "seg":
        raise InferenceError(f"--promised-precision: {name} labels pixels, which have no score")
    truth, predictions = _out_of_fold(asked, catalog)
    settings = PseudoLabeling.model_validate({"promise": {"precision": precision}})
    grade = grade_boxes if asked.task == "det" else grade_crops
    graded = grade(predictions, truth, settings)
    thresholds = choose_thresholds(graded, truth.categories, settings)
    if thresholds["threshold"].isna().all():
        raise InferenceError(
            f"--promised-precision {precision:g}: it can be promised of no category "
            f"({thresholds['reason'].iloc[0]}); ask for less, or give a --score-threshold"
        )
    return thresholds, settings


def _out_of_fold(asked: Asked, catalog: DataCatalog) -> tuple[Annotations, Any]:
    """What was predicted of labelled images by what has not seen them, and these images."""
    judges: Sequence[Member] = [judge for own in asked.trainings for judge in own.judged_by]
    if asked.ensemble is None:
        keys = {own.name: own.out_of_fold_predictions for own in judges}
    else:
        judges = asked.ensemble.judges
        explained = asked.ensemble.is_explained_out_of_fold
        keys = {asked.name: f"{asked.name}.explained_predictions"} if explained else {}
    if not keys or not all(catalog.exists(key) for key in keys.values()):
        raise InferenceError(
            f"--promised-precision: of {asked.name} there are no out-of-fold predictions, which it "
            "is learnt on; give a --score-threshold, or another --with"
        )
    tables = {own: catalog.load(key) for own, key in keys.items()}
    table = next(iter(joined_tables(tables).values()))
    train, folds = catalog.load("train.annotations"), catalog.load("folds")
    images = common_images(train, folds, [own.name for own in judges])
    return train.of_images(images["image_id"]), table
