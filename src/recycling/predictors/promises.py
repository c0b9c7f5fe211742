"""From which score on a model keeps a promise of precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kedro.io import DataCatalog

from recycling.annotations import Annotations
from recycling.ensembling import model_of
from recycling.inference import InferenceError
from recycling.pipelines.out_of_fold import common_images, joined_by_model
from recycling.plan import Member, Plan
from recycling.predictors.core import Asked, fusion_inputs_of, look_up, used_trainings
from recycling.pseudo_labels import (
    PseudoLabeling,
    Thresholds,
    choose_thresholds,
    grade_boxes,
    grade_crops,
)


def promised_thresholds(
    name: str, plan: Plan | None, catalog: DataCatalog, precision: float
) -> tuple[Thresholds, PseudoLabeling, list[str]]:
    """From which score on boxes, or classes, are right as often as is promised.

    It is learnt as for pseudo-labels, on labelled images that none of the models has seen.

    Args:
        name: As of `predictor_of`.
        plan: Of the environment.
        catalog: Of the environment.
        precision: The share of right that is promised.

    Returns:
        The threshold of each category; the settings of the promise, whose `cap` says of how many
        on an image it is; and what it does not cover.

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
    return thresholds, settings, _doubts(asked, catalog)


def _doubts(asked: Asked, catalog: DataCatalog) -> list[str]:
    """Why what predicts may be right less often than what was tested: it is not the same.

    Of each model one fold was tested on an image, the one that has not seen it.
    """
    used = used_trainings(asked, fusion_inputs_of(asked, catalog))
    models = [model_of(own.name) for own in used]
    if len(models) > len(set(models)):
        return ["models of several folds predict together, and were tested one by one"]
    if any(own.fold is None for own in used):
        return ["a model of all images predicts, and those of its folds were tested"]
    return []


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
    table = next(iter(joined_by_model(tables).values()))
    train, folds = catalog.load("train.annotations"), catalog.load("folds")
    images = common_images(train, folds, [own.name for own in judges])
    return train.of_images(images["image_id"]), table
