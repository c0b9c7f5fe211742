"""From which score on a model keeps a promise of precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from recycling.annotations import Annotations
from recycling.ensembling import calibration_of, method_of, model_of
from recycling.ensembling.calibration import NONE
from recycling.fingerprints import ContentCache, Graph, Record, Records
from recycling.fingerprints.ingredients import as_json, as_now
from recycling.fingerprints.records import CONTENT
from recycling.inference import InferenceError
from recycling.pipelines.fusing import chosen_settings
from recycling.pipelines.out_of_fold import common_images, joined_by_model
from recycling.plan import Member, Plan, TrainingPlan, origins, starts_from_unknown
from recycling.predictors.core import Asked, fusion_inputs_of, look_up, used_trainings
from recycling.pseudo_labels import (
    PseudoLabeling,
    Thresholds,
    choose_thresholds,
    grade_boxes,
    grade_crops,
)


def promised_thresholds(
    name: str,
    plan: Plan | None,
    catalog: DataCatalog,
    precision: float,
    records: Path | None = None,
) -> tuple[Thresholds, PseudoLabeling, list[str]]:
    """From which score on boxes, or classes, are right as often as is promised.

    It is learnt as for pseudo-labels, on labelled images that none of the models has seen.

    Args:
        name: As of `predictor_of`.
        plan: Of the environment.
        catalog: Of the environment.
        precision: The share of right that is promised.
        records: The folder of records that say what the predictions were made of, if there are any.

    Returns:
        The threshold of each category; the settings of the promise, whose `cap` says of how many
        on an image it is; and what it does not cover.

    Raises:
        InferenceError: There are no predictions to learn it on, or nothing can be promised.
    """
    asked = look_up(name, plan)
    if asked.task == "seg":
        raise InferenceError(f"--promised-precision: {name} labels pixels, which have no score")
    judges, keys = _tested(asked, catalog)
    truth, predictions = _out_of_fold(judges, keys, catalog)
    settings = PseudoLabeling.model_validate({"promise": {"precision": precision}})
    grade = grade_boxes if asked.task == "det" else grade_crops
    graded = grade(predictions, truth, settings)
    thresholds = choose_thresholds(graded, truth.categories, settings)
    if thresholds["threshold"].isna().all():
        raise InferenceError(
            f"--promised-precision {precision:g}: it can be promised of no category "
            f"({thresholds['reason'].iloc[0]}); ask for less, or give a --score-threshold"
        )
    assert plan is not None  # without one, nothing is found by name
    doubts = _doubts(asked, plan, catalog)
    if records is not None:
        tables = [*keys.values(), *(judge.out_of_fold_predictions for judge in judges)]
        doubts += _changes(asked, tables, catalog, records)
    return thresholds, settings, doubts


def _doubts(asked: Asked, plan: Plan, catalog: DataCatalog) -> list[str]:
    """Why what predicts may be right less often than what was tested.

    It is not the same, or has seen what it was tested on. Of each model one fold was tested on an
    image, the one that does not train on it.
    """
    known = fusion_inputs_of(asked, catalog)
    used = used_trainings(asked, known)
    models = [model_of(own.name) for own in used]
    doubts = []
    if len(models) > len(set(models)):
        doubts.append("models of several folds predict together, and were tested one by one")
    elif any(own.fold is None for own in used):
        doubts.append("a model of all images predicts, and those of its folds were tested")
    return doubts + _of_fusion(known, used) + _of_seen(used, plan)


def _of_fusion(known: Mapping[str, Any], used: Iterable[TrainingPlan]) -> list[str]:
    """What is chosen or learnt of all labelled images, and for the test of the other parts."""
    choice = known.get("choice")
    if choice is not None:
        without = choice["chosen_without"].values()
        if any(own != {key: choice[key] for key in own} for own in without):
            return ["an ensemble chosen on all images predicts, and those of parts were tested"]
    settings = known.get("settings")
    if settings is not None:
        settings = chosen_settings(settings, [own.name for own in used], choice)
    if settings is not None and (
        method_of(settings).learns != "nothing"
        or calibration_of(settings) != NONE
        or getattr(settings, "weights", None) == "score"
    ):
        return ["a fusion learnt on all images predicts, and those of parts were tested"]
    return []


def _of_seen(used: Iterable[TrainingPlan], plan: Plan) -> list[str]:
    """What may know the images of its own test."""
    doubts = []
    names = dict.fromkeys(name for own in used for name in origins(own.model, plan.models))
    for name in names:
        model = plan.models[name]
        if model.early_stopping is not None:
            doubts.append(
                f"models.{name} stopped early by what it scores on the images of its test "
                "(early_stopping)"
            )
        if starts_from_unknown(model):
            doubts.append(
                f"models.{name}.pretrained is a file, and nothing tells whether it has seen the "
                "images of the test (pretrained_elsewhere)"
            )
    return doubts


def _changes(asked: Asked, tables: Iterable[str], catalog: DataCatalog, folder: Path) -> list[str]:
    """What has been made anew, or set otherwise, since what was tested was made of it."""
    graph = Graph(Pipeline([]), catalog, ContentCache(folder / CONTENT))
    records = Records(folder)
    made = set(records.names())
    fusion = "" if asked.ensemble is None else asked.ensemble.settings.removeprefix("params:")
    for table in dict.fromkeys(tables):
        record = records.read(table)
        if not isinstance(record, Record):
            continue
        taken = record.ingredients
        for name, facts in taken.inputs.items():
            if name in made and graph.content(name) != facts["content"]:
                return [f"{name} has changed since {table} was made of it"]
        if fusion in taken.parameters:
            now = graph.parameter(fusion)
            if as_now(taken.parameters[fusion], now) != as_json(now):
                return [f"parameter {fusion} has changed since {table} was made by it"]
    return []


def _tested(asked: Asked, catalog: DataCatalog) -> tuple[list[Member], dict[str, str]]:
    """Whose predictions of labelled images, which have not seen them, there are, and where."""
    judges = [judge for own in asked.trainings for judge in own.judged_by]
    keys = {own.name: own.out_of_fold_predictions for own in judges}
    if asked.ensemble is not None:
        judges = list(asked.ensemble.judges)
        explained = asked.ensemble.is_explained_out_of_fold
        keys = {asked.name: f"{asked.name}.explained_predictions"} if explained else {}
    if not keys or not all(catalog.exists(key) for key in keys.values()):
        raise InferenceError(
            f"--promised-precision: of {asked.name} there are no out-of-fold predictions, which it "
            "is learnt on; give a --score-threshold, or another --with"
        )
    return judges, keys


def _out_of_fold(
    judges: Iterable[Member], keys: Mapping[str, str], catalog: DataCatalog
) -> tuple[Annotations, Any]:
    """What was predicted of labelled images by what has not seen them, and these images."""
    tables = {own: catalog.load(key) for own, key in keys.items()}
    table = next(iter(joined_by_model(tables).values()))
    train, folds = catalog.load("train.annotations"), catalog.load("folds")
    images = common_images(train, folds, [own.name for own in judges])
    return train.of_images(images["image_id"]), table
