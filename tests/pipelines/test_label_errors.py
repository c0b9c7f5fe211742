"""Which models judge labels, and the nodes from their predictions to a proposal."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from recycling.annotations import ImageFolder
from recycling.diagnostics.label_errors import LabelErrorSettings
from recycling.pipelines.label_errors import (
    create_pipeline,
    draw_label_errors,
    finder,
    judging,
    propose_corrections,
    rank,
)
from recycling.plan import read_plan
from recycling.predictions import DETECTIONS, LabelMaps

SETTINGS = LabelErrorSettings()


def plan_of(**models: Any):
    settings = {"epochs": 1, "batch_size": 1, "image_size": 64,
                "optimizer": {"name": "AdamW", "learning_rate": 0.01}}  # fmt: skip
    of = {"cls": ("mmpretrain", "resnet18_narrow"), "det": ("mmdet", "yolox_narrow"),
          "seg": ("mmseg", "fcn_r18_narrow")}  # fmt: skip
    described = {
        name: {**settings, "task": task, "backend": of[task][0], "recipe": of[task][1], **further}
        for name, (task, further) in models.items()
    }
    return read_plan({"models": described}, "models.yml")


def test_those_models_judge_that_hold_out_the_most_folds():
    plan = plan_of(
        one=("det", {"folds": [0, 1]}), two=("det", {"folds": [1, 0]}), few=("det", {"folds": [0]}),
        every=("det", {"folds": [0, 1, "all"]}),
    )  # fmt: skip
    judges = [own.name for own in judging(plan, "det")]
    assert judges == ["one.fold0", "one.fold1", "two.fold1", "two.fold0",
                      "every.fold0", "every.fold1"]  # fmt: skip
    assert judging(plan, "seg") == []


def test_there_is_a_node_a_task_that_has_a_model_and_one_ranking():
    plan = plan_of(one=("det", {"folds": [0]}), two=("seg", {"folds": [0], "probabilities": True}))
    pipeline = create_pipeline(plan)
    assert {"det.find_label_errors", "seg.find_label_errors"} <= {n.name for n in pipeline.nodes}
    assert "seg.two.fold0.out_of_fold_probabilities" in pipeline.inputs()
    ranking = next(n for n in pipeline.nodes if n.name == "rank_label_errors")
    assert set(ranking.inputs) == {"train.annotations", "det.label_errors", "seg.label_errors"}
    assert not create_pipeline(plan_of()).nodes


def test_the_nodes_go_from_predictions_to_a_proposal(annotations, tmp_path, caplog):
    caplog.set_level(logging.INFO, "recycling")
    for name in annotations.images["file_name"]:
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / name)
    folds = pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 1, 1]})
    classes = pd.DataFrame({"annotation_id": [1, 2, 3], "Paper": [0.9, 0.8, 0.95],
                            "Metal": [0.1, 0.2, 0.05]})  # fmt: skip
    boxes = pd.DataFrame(
        [(1, 5, 0.9, 2, 2, 12, 12), (2, 5, 0.8, 0, 0, 10, 20), (2, 5, 0.9, 15, 5, 35, 25),
         (3, 7, 0.7, 5, 5, 20, 20)], columns=DETECTIONS.names,
    )  # fmt: skip

    def seen(image_id):
        label_map = np.zeros((30, 40), np.uint8)
        if image_id == 3:
            label_map[5:20, 5:20] = 2
        return label_map

    of_folds = {fold: folds.loc[folds["fold"] == fold, "image_id"].tolist() for fold in (0, 1)}
    found = {}
    for task in ("cls", "det", "seg"):
        members = {}
        for fold, ids in of_folds.items():
            crops = annotations.of_images(ids).annotations["annotation_id"]
            members[f"model.fold{fold}"] = {
                "cls": classes[classes["annotation_id"].isin(crops)],
                "det": boxes[boxes["image_id"].isin(ids)],
                "seg": LabelMaps(ids, seen),
            }[task]
        found[task] = finder(task)(train=annotations, folds=folds, settings=SETTINGS, **members)
    assert "label errors, det: by model, of 3 of 3 images" in caplog.text
    errors = rank(annotations, **found)
    assert set(errors["annotation_id"].dropna()) == {1, 2, 3}
    assert len(errors[errors["kind"] == "missed"]) == 1
    text = propose_corrections(annotations, errors, SETTINGS)
    entries = yaml.safe_load(text)["cleaning"]["train"]["correct_annotations"]["corrections"]
    assert entries == [
        {"file_name": "3.png", "category": "Metal", "box": [5, 5, 20, 20], "add": True}
    ]
    assert "label errors: 1 proposed (1 missed); look at label_errors.png" in caplog.text
    assert draw_label_errors(annotations, ImageFolder(tmp_path), errors, SETTINGS).ndim == 3


def test_a_model_of_one_fold_judges_its_images_and_says_how_all_are_judged(annotations, caplog):
    caplog.set_level(logging.INFO, "recycling")
    folds = pd.DataFrame({"image_id": [1, 2, 3], "fold": [0, 1, 1]})
    found = pd.DataFrame([(1, 7, 0.9, 2, 2, 12, 12)], columns=DETECTIONS.names)
    errors = finder("det")(
        train=annotations, folds=folds, settings=SETTINGS, **{"model.fold0": found}
    )
    assert set(errors["image_id"]) == {1}
    assert "of 1 of 3 images; `folds: [0, 1, ...]` of a model judges all" in caplog.text


@pytest.mark.parametrize("key", ["proposed", "shown", "min_area"])
def test_settings_are_checked(key):
    with pytest.raises(ValueError, match=key):
        LabelErrorSettings.model_validate({key: 0})
