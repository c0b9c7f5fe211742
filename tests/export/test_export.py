"""An exported model predicts as the one that was trained, or is not written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from backends.tiny_trainings import draw_pictures, images_of, train
from recycling.export import ExportError, core, export_model
from recycling.export.parity import compare, compare_pixels

RECIPES = Path(__file__).parents[2] / "conf/recipes"
SAME = [
    ("mmpretrain", None),
    ("mmdet", None),
    ("mmdet", "mmdet/fcos_r18_narrow.py"),
    ("mmseg", "mmseg/fcn_r18_narrow.py"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return draw_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, pictures):
    return train("mmpretrain", pictures, tmp_path_factory.mktemp("classifier"))


@pytest.mark.parametrize(("backend", "recipe"), SAME)
def test_an_exported_model_predicts_as_the_one_that_was_trained(
    tmp_path, pictures, backend, recipe
):
    # Not square as the network sees them: what is padded is not the image.
    checkpoint = train(backend, pictures, tmp_path, RECIPES / recipe if recipe else None)
    path = tmp_path / "exported" / "own.onnx"
    parity = export_model(checkpoint, "det.own", path, images_of(pictures))
    assert parity.is_same
    assert parity.n >= 8
    said = {each.key: json.loads(each.value) for each in onnx.load(path).metadata_props}
    assert [each["name"] for each in said["categories"]] == ["box", "disc"]
    assert said["image_size"] == 64
    assert len(said["mean"]) == len(said["std"]) == 3
    assert said["source"]["weights_sha256"] == checkpoint.facts["weights_sha256"]


def test_a_model_that_would_predict_something_else_is_not_written(
    tmp_path, pictures, classifier, monkeypatch
):
    # A file that says another mean predicts something else.
    facts = core._facts
    monkeypatch.setattr(
        core, "_facts", lambda *args: facts(*args).model_copy(update={"mean": (0.0, 9.0, 200.0)})
    )
    with pytest.raises(ExportError, match="predicts something else"):
        export_model(classifier, "cls.own", tmp_path / "own.onnx", images_of(pictures))
    assert not (tmp_path / "own.onnx").exists()


def test_both_are_compared_on_the_processor(tmp_path, pictures, classifier, monkeypatch):
    found = []
    parity = core._parity
    monkeypatch.setattr(
        core,
        "_parity",
        lambda *args: found.append(args[1].session.get_providers()) or parity(*args),
    )
    export_model(classifier, "cls.own", tmp_path / "own.onnx", images_of(pictures))
    assert found == [["CPUExecutionProvider"]]


def test_what_onnx_cannot_hold_is_told_in_one_line(tmp_path, pictures):
    checkpoint = train("mmseg", pictures, tmp_path)  # FastSCNN pools to sides that do not divide
    with pytest.raises(ExportError, match="seg.own: ONNX cannot hold it: .*adaptive_avg_pool2d"):
        export_model(checkpoint, "seg.own", tmp_path / "own.onnx", images_of(pictures))


def test_a_model_with_several_views_is_refused(tmp_path, pictures):
    checkpoint = train("mmpretrain", pictures, tmp_path, test_time_augmentation={"flip": True})
    with pytest.raises(ExportError, match="test_time_augmentation"):
        export_model(checkpoint, "cls.own", tmp_path / "own.onnx", images_of(pictures))


def test_what_is_no_number_is_a_difference():
    planes = np.full((2, 3, 3), 0.5, np.float32)
    assert compare_pixels([(1, planes)], [(1, planes)]).is_same
    assert not compare_pixels([(1, planes)], [(1, planes * np.nan)]).is_same


def test_boxes_that_only_one_has_are_a_difference():
    found = pd.DataFrame(
        {"image_id": 1, "category_id": [1, 1, 2], "score": [0.9, 0.8, 0.7],
         "x_min": [0.0, 40.0, 0.0], "y_min": 0.0, "x_max": [9.0, 70.0, 20.0], "y_max": 30.0}
    )  # fmt: skip
    assert compare(found, found, "det").is_same
    assert compare(found, found.iloc[::-1], "det").is_same
    assert not compare(found, found.iloc[1:], "det").is_same
    moved = found.assign(x_min=found["x_min"] + 0.01)
    assert not compare(found, moved, "det").is_same
