"""Predictions of others count for the images that they predict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from PIL import Image

from recycling import stored_tables
from recycling.annotations import (
    BOX,
    Cleaning,
    ImageCache,
    ImageFolder,
    StoredAnnotations,
    read_tables,
    write_tables,
)
from recycling.annotations.masks import label_maps
from recycling.diagnostics import label_map_agreement, pixel_error_correlation
from recycling.ensembling import MaskFusion, rank_members
from recycling.evaluation import (
    BoxMetric,
    ClassMetric,
    EvaluationError,
    MaskMetric,
    evaluate,
    image_scores,
)
from recycling.pipelines.crops import crop_images
from recycling.pipelines.data_cleaning import check_image_files, cleaner_as_train
from recycling.pipelines.ensembling import submitter
from recycling.pipelines.external import external_nodes, reader
from recycling.pipelines.fusing import fuse_members, part_key
from recycling.pipelines.out_of_fold import common_images
from recycling.pipelines.searching import problem_of
from recycling.plan import ExternalMember, PlanError, Search
from recycling.predictions import (
    DETECTIONS,
    BoxFormat,
    ClassFormat,
    ExternalMembers,
    LabelMaps,
    MaskFormat,
    to_submission,
)
from recycling.splitting import FOLDS
from recycling.stored_tables import StoredTable, TableParts

METRIC = {"cls": ClassMetric, "det": BoxMetric, "seg": MaskMetric}
FORMAT = {
    "cls": {"format": "class_probabilities"},
    "det": {},
    "seg": {"size": 64},
}
FORMATS = {"cls": ClassFormat, "det": BoxFormat, "seg": MaskFormat}


def right_boxes(annotations, image_ids):
    own = annotations.annotations
    return own[own["image_id"].isin(image_ids)][["image_id", "category_id", *BOX]].assign(score=0.9)


def right_masks(annotations):
    return LabelMaps(annotations.images["image_id"].tolist(), dict(label_maps(annotations)).get)


def right_classes(annotations, image_ids):
    own = annotations.annotations[annotations.annotations["image_id"].isin(image_ids)]
    table = pd.DataFrame({"annotation_id": own["annotation_id"]})
    return table.assign(
        Paper=(own["category_id"] == 5).astype("float32"),
        Metal=(own["category_id"] == 7).astype("float32"),
    )


def write(task, annotations, image_ids, path):
    """A file that is right on some images, and has no row of the others."""
    images = annotations.images[annotations.images["image_id"].isin(image_ids)]
    if task == "seg":
        predictions = right_masks(annotations)
    else:
        right = {"cls": right_classes, "det": right_boxes}[task]
        predictions = right(annotations, image_ids)
    settings = FORMATS[task].model_validate(FORMAT[task])
    table = to_submission(settings, predictions, images, annotations.categories)
    table.to_csv(path, index=False)


def run(task, annotations, path, missing="skip"):
    """What the nodes of a member make of its file, which serves as both of its files."""
    members = ExternalMembers({"mate": path}, missing_images=missing)
    member = ExternalMember(task, "mate", "mate.csv", f"{task}.external.mate")
    inputs = {
        f"{task}.external.test": members,
        f"{task}.external.out_of_fold": members,
        "test.annotations": annotations,
        "train.annotations": annotations,
        f"params:submission.{task}": FORMATS[task].model_validate(FORMAT[task]),
        f"params:evaluation.{task}": METRIC[task].model_validate({}),
    }
    catalog = DataCatalog({name: MemoryDataset(value, "assign") for name, value in inputs.items()})
    made = SequentialRunner().run(Pipeline(external_nodes(member)), catalog)
    names = ("out_of_fold_metrics", "test_metrics")
    return [made[f"{task}.external.mate.{name}"].load() for name in names]


@pytest.mark.parametrize("task", ["cls", "det", "seg"])
@pytest.mark.parametrize("image_ids", [[1], [2], [1, 2, 3]])
def test_a_file_of_some_images_is_scored_on_these(tmp_path, annotations, caplog, task, image_ids):
    path = tmp_path / "mate.oof.csv"
    write(task, annotations, image_ids, path)
    metrics = run(task, annotations, path)
    assert [each.score for each in metrics] == pytest.approx([1, 1], abs=0.03)
    if len(image_ids) < 3:
        n, of = (len(annotations.of_images(image_ids).annotations), 3) if task == "cls" else (1, 3)
        assert f"{path}: predicts {n} of {of} {'crops' if task == 'cls' else 'images'}; it is" in (
            caplog.text
        )
        assert "An ensemble with it has a report only if all its models have some" in caplog.text


def test_a_file_that_predicts_nothing_is_refused(tmp_path, annotations):
    path = tmp_path / "mate.csv"
    path.write_text("PredictionString,image_id\n")
    with pytest.raises(ValueError, match=r"mate\.csv: has a row of none of the 3 images"):
        run("det", annotations, path)


def test_a_crowd_region_is_no_crop_to_predict(tmp_path, annotations):
    path = tmp_path / "mate.csv"
    crowd = annotations.annotations.assign(iscrowd=[False, False, True])
    write("cls", replace(annotations, annotations=crowd.iloc[:2]), [1, 2], path)
    metrics = run("cls", replace(annotations, annotations=crowd), path, missing="error")
    assert [each.score for each in metrics] == [1, 1]


@pytest.fixture
def lacking(tmp_path, annotations):
    """Masks that are right but for two images, of which there are none."""
    path = tmp_path / "mate.csv"
    write("seg", annotations, [2], path)
    members = ExternalMembers({"mate": path}, missing_images="skip")
    return reader("seg", "mate")(members, annotations, MaskFormat.model_validate({"size": 64}))[0]


def test_where_a_mask_member_lacks_an_image_the_vote_of_the_others_decides(annotations, lacking):
    right = right_masks(annotations)
    members = {"mate.csv": lacking, "a": right, "b": right}
    fused = fuse_members(
        MaskFusion.model_validate({}),
        rank_members({"mate.csv": 0.9, "a": 0.5, "b": 0.4}),
        images=annotations,
        **members,
    )
    assert all((fused[image_id] == right[image_id]).all() for image_id in right)
    # What explains the ensemble takes each member on the images that it has.
    scores = image_scores(MaskMetric.model_validate({}), annotations, members)
    draws = np.array([[1, 1, 1]])
    assert scores["a"].scores(draws) == pytest.approx([1])
    assert scores["mate.csv"].scores(draws) == pytest.approx([1], abs=0.05)
    agreement = label_map_agreement([lacking, right], names=["mate.csv", "a"])
    assert agreement["agreement"].tolist() == pytest.approx([1], abs=0.02)
    assert pixel_error_correlation(annotations, members).empty


def test_an_image_that_nobody_predicts_is_said(annotations):
    blank = LabelMaps([1, 2, 3], lambda _: np.full((30, 40), 255, np.uint8))
    with pytest.raises(EvaluationError, match="image 1 has 1200 pixels of value 255 .* no member"):
        evaluate(MaskMetric.model_validate({}), annotations, blank)


@pytest.fixture
def cut_off(tmp_path, annotations):
    """Test images as cleaning leaves them, which has dropped the last: its file is cut off."""
    for name, colour in zip(annotations.images["file_name"], ("red", "green", "blue"), strict=True):
        Image.new("RGB", (40, 30), colour).save(tmp_path / name)
    path = tmp_path / annotations.images["file_name"].iloc[-1]
    path.write_bytes(path.read_bytes()[:50])
    folder = ImageFolder(tmp_path)
    checks = check_image_files(annotations, folder, ImageCache(tmp_path / "cache.parquet"))
    rules = Cleaning.model_validate({"group_near_duplicates": {"enabled": False}})
    test, _ = cleaner_as_train("test")(annotations, folder, checks, rules, annotations)
    assert test.images["file_name"].tolist() == ["1.png", "2.png"]
    pool, _ = cleaner_as_train("pool")(annotations, folder, checks, rules, annotations)
    assert not pool.extra  # nobody asks for rows of it
    write_tables(test, tmp_path / "test")
    return read_tables(tmp_path / "test")


@pytest.mark.parametrize("task", ["det", "seg"])
def test_an_image_that_cleaning_dropped_has_a_row_all_the_same(tmp_path, cut_off, caplog, task):
    settings = FORMATS[task].model_validate(FORMAT[task])
    predictions = right_masks(cut_off) if task == "seg" else right_boxes(cut_off, [1, 2])
    table = submitter(task)(predictions, cut_off, settings)
    assert table["image_id"].tolist() == ["1.png", "2.png", "3.png"]
    assert f"submission.{task}: 1 test images that cleaning dropped have a row" in caplog.text
    texts = table["PredictionString"]
    assert set(texts[2].split()) == ({"0"} if task == "seg" else set())
    # A colleague may have seen something there.
    table.assign(PredictionString=[*texts[:2], texts[1]]).to_csv(tmp_path / "mate.csv", index=False)
    members = ExternalMembers({"mate": tmp_path / "mate.csv"})
    read, part = reader(task, "mate")(members, cut_off, settings)
    assert set(read if task == "seg" else read["image_id"]) == {1, 2} == {*part.images["image_id"]}
    assert "1 of its images were dropped by cleaning; their rows are passed over: 3.png" in (
        caplog.text
    )
    table[:2].to_csv(tmp_path / "mate.csv", index=False)  # nor need a file know of it
    assert len(reader(task, "mate")(members, cut_off, settings)[1].images) == 2


def test_a_submission_that_is_written_in_parts_has_rows_of_dropped_images(
    tmp_path, cut_off, monkeypatch
):
    boxes = right_boxes(cut_off, [1, 2])
    boxes.to_parquet(tmp_path / "boxes.parquet")
    monkeypatch.setattr(stored_tables, "ROWS_AT_A_TIME", 1)
    stored = StoredTable(tmp_path / "boxes.parquet", DETECTIONS)
    settings = BoxFormat.model_validate({})
    parts = submitter("det")(stored, StoredAnnotations(tmp_path / "test"), settings)
    assert isinstance(parts, TableParts)
    assert len(parts.whole()) == 3
    pd.testing.assert_frame_equal(parts.whole(), submitter("det")(boxes, cut_off, settings))


def test_no_class_is_made_up_for_an_image_that_cleaning_dropped(cut_off, annotations, caplog):
    for test in (cut_off, crop_images(cut_off, annotations)):
        caplog.clear()
        ids = test.annotations["annotation_id"]
        said = pd.DataFrame({"annotation_id": ids, "Paper": 1.0, "Metal": 0.0})
        table = submitter("cls")(said, test, ClassFormat.model_validate({}))
        assert len(table) == len(ids)
        assert "submission.cls: 1 test images that cleaning dropped have no row" in caplog.text


def folds_of(annotations, folds):
    table = annotations.images[["image_id"]].assign(fold=folds)
    return FOLDS.conform(table, where="folds")


def test_images_in_common_are_those_that_a_file_predicts(annotations):
    folds = folds_of(annotations, [0, 1, 1])
    part = annotations.of_images([1, 2])
    names = ["yolox.fold1", "mate.csv"]
    common = common_images(annotations, folds, names, {"mate.csv": part})
    assert common["image_id"].tolist() == [2]
    with pytest.raises(PlanError, match="models yolox, mate have no fold in common"):
        common_images(annotations, folds, names, {"mate.csv": annotations.of_images([1])})


def test_an_image_of_which_a_file_lacks_a_crop_is_not_in_common(annotations):
    part = replace(annotations, annotations=annotations.annotations.iloc[:2])
    folds = folds_of(annotations, [0, 0, 0])
    common = common_images(annotations, folds, ["mate.csv"], {"mate.csv": part})
    assert common["image_id"].tolist() == [1, 3]


def test_a_search_looks_at_the_images_that_a_file_predicts(annotations):
    folds = folds_of(annotations, [0, 1, 1])
    part = annotations.of_images([1, 2])
    members = {
        "yolox.fold0": right_boxes(annotations, [1]),
        "yolox.fold1": right_boxes(annotations, [2]),
        "mate.csv": right_boxes(annotations, [1, 2]),
        part_key("mate.csv"): part,
    }
    metric = BoxMetric.model_validate({})
    problem = problem_of("det", Search(), annotations, folds, members, metric)
    assert problem.names == ("mate", "yolox")
    assert [ids.tolist() for ids in problem.parts] == [[1], [2]]
