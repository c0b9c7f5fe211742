"""Images that nobody annotated are classified: as a whole, or by the boxes of a detector."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import pandas as pd
import pytest
from PIL import Image

from recycling.annotations import ANNOTATIONS, CATEGORIES, ImageFolder
from recycling.evaluation import ClassMetric
from recycling.pipelines import ensembling, training
from recycling.pipelines.crops import crop_images, crop_proposals
from recycling.pipelines.explaining import changes_drawer, explainer
from recycling.pipelines.scoring import SCORE_TEST
from recycling.pipelines.tasks import predicted_rows
from recycling.plan import Crops, PlanError, read_plan
from recycling.predictions import DETECTIONS, ClassFormat, to_submission

CLASSIFIER = {
    "task": "cls", "backend": "mmpretrain", "recipe": "resnet18", "image_size": 32, "epochs": 1,
    "batch_size": 2, "optimizer": {"name": "SGD", "learning_rate": 0.1},
}  # fmt: skip
DETECTOR = {**CLASSIFIER, "task": "det", "backend": "mmdet", "recipe": "yolox_nano"}


@pytest.fixture
def unlabelled(annotations):
    return replace(annotations, annotations=ANNOTATIONS.empty(), categories=CATEGORIES.empty())


def probabilities(crops):
    ids = crops.annotations["annotation_id"]
    table = pd.DataFrame({"annotation_id": ids, "Paper": 0.25, "Metal": 0.75})
    return table.astype({"Paper": "float32", "Metal": "float32"})


def test_a_whole_image_is_one_crop(unlabelled, annotations):
    crops = crop_images(unlabelled, annotations)
    rows = crops.annotations
    assert rows[["image_id", "x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist() == [
        [1, 0, 0, 40, 30],
        [2, 0, 0, 40, 30],
        [3, 0, 0, 40, 30],
    ]
    assert crops.categories["name"].tolist() == ["Paper", "Metal"]
    submission = to_submission(
        ClassFormat.model_validate({"format": "image_classes"}),
        probabilities(crops),
        predicted_rows("cls", crops),
        crops.categories,
    )
    assert submission.to_csv(index=False).split() == [
        "file_name,category", "1.png,Metal", "2.png,Metal", "3.png,Metal",
    ]  # fmt: skip


def test_annotations_that_are_not_looked_at_are_said(annotations, caplog):
    crop_images(annotations, annotations)
    assert "the 3 annotations of the test images are not looked at" in caplog.text


def test_boxes_that_a_detector_is_sure_of_are_the_crops(unlabelled, annotations, caplog):
    found = [(1, 5, 0.9, 1, 2, 11, 12), (1, 7, 0.2, 0, 0, 5, 5), (3, 7, 0.5, 3, 3, 9, 9)]
    detections = DETECTIONS.conform(
        pd.DataFrame(found, columns=DETECTIONS.names), where="detections"
    )
    settings = Crops.model_validate({"test": {"detector": "final", "score_threshold": 0.3}})
    crops = crop_proposals(unlabelled, annotations, detections, settings)
    assert crops.annotations[["image_id", "x_min", "x_max", "score"]].to_numpy().tolist() == [
        [1, 1, 11, 0.9],
        [3, 3, 9, 0.5],
    ]
    assert "1 of 3 images have no box of score 0.3 or more" in caplog.text
    submission = to_submission(
        ClassFormat.model_validate({"format": "classified_boxes"}),
        probabilities(crops),
        predicted_rows("cls", crops),
        crops.categories,
    )
    assert submission["image_id"].tolist() == ["1.png", "2.png", "3.png"]
    assert submission["PredictionString"].tolist() == ["1 0.675 1 2 11 12", "", "1 0.375 3 3 9 9"]


def test_what_a_model_proposed_is_no_truth_to_score_with(unlabelled, annotations, tmp_path):
    crops = crop_images(unlabelled, annotations)
    metric, fused = ClassMetric.model_validate({}), probabilities(crops)
    assert isnan(SCORE_TEST["cls"](crops, fused, metric).score)
    explanation, contributions, gains, errors = explainer("cls", False)(
        truth=crops, fused=fused, members={"a": fused}, without={}, metric=metric
    )
    assert contributions.empty
    assert gains.empty
    assert explanation["interval"] == {}
    assert errors.empty
    for name in crops.images["file_name"]:
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    ranking = pd.DataFrame({"member": ["a"], "rank": [0]})
    other = fused.assign(Paper=fused["Metal"], Metal=fused["Paper"])
    drawn = changes_drawer("cls")(
        truth=crops,
        folder=ImageFolder(tmp_path),
        ranking=ranking,
        fused=fused,
        explanation=explanation,
        a=other,
    )
    assert drawn.ndim == 3


def plan_of(crops, **models):
    return read_plan({"models": models, "crops": {"test": crops}}, "models.yml")


@pytest.mark.parametrize(
    ("crops", "models", "asked"),
    [
        ("annotations", {"a": CLASSIFIER}, {"test.annotations"}),
        ("images", {"a": CLASSIFIER}, {"test.annotations", "train.annotations"}),
        (
            {"detector": "final"},
            {"a": CLASSIFIER, "d": DETECTOR},
            {"test.annotations", "train.annotations", "det.final.test_predictions"},
        ),
        (
            {"detector": "d.fold0"},
            {"a": CLASSIFIER, "d": DETECTOR},
            {"test.annotations", "train.annotations", "det.d.fold0.test_predictions"},
        ),
    ],
)
def test_the_graph_asks_classifiers_about_the_crops(crops, models, asked):
    plan = plan_of(crops, **models)
    graph = training.create_pipeline(plan, "cls") + ensembling.create_pipeline(plan)
    predict = next(node for node in graph.nodes if node.name == "cls.a.fold0.predict_test_images")
    if crops == "annotations":
        assert "test.annotations" in predict.inputs
        return
    assert "cls.test_crops" in predict.inputs
    (maker,) = (node for node in graph.nodes if "cls.test_crops" in node.outputs)
    assert {name for name in maker.inputs if not name.startswith("params:")} == asked
    users = {node.name for node in graph.nodes if "cls.test_crops" in node.inputs}
    assert {
        "cls.final.write_submission",
        "cls.final.score_test_predictions",
        "cls.final.draw_changes",
    } <= users
    of_classes = [
        node for node in graph.nodes if node.name.startswith("cls.a.fold0.predict_test_images")
    ]
    assert not any("test.annotations" in node.inputs for node in of_classes)


@pytest.mark.parametrize(
    ("crops", "message"),
    [
        ("image", "models.yml: crops.test"),
        ({"detector": "d.fold1"}, "no detector 'd.fold1'; did you mean 'd.fold0'"),
    ],
)
def test_crops_that_nobody_can_make_are_refused(crops, message):
    with pytest.raises(PlanError, match=message):
        plan_of(crops, a=CLASSIFIER, d=DETECTOR)
