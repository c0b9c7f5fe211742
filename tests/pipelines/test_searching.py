"""A search is kept, and gone on with by the same code alone."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.backends import RunFolder
from recycling.ensembling import BOX_METHODS, BoxFusion
from recycling.evaluation import BoxMetric, MaskMetric
from recycling.pipelines import searching
from recycling.pipelines.out_of_fold import probabilities_key
from recycling.plan import Search
from recycling.predictions import DETECTIONS, ProbabilityMaps

OWN = Path(__file__).parents[1] / "extending" / "keep_all.py"


@pytest.fixture
def own_method(tmp_path, monkeypatch):
    """The file of a method of a user's own, which is known during a test."""
    monkeypatch.setattr(BOX_METHODS, "_entries", dict(BOX_METHODS._entries))
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "kept_boxes.py"
    path.write_text(OWN.read_text())
    importlib.import_module("kept_boxes")
    yield path
    del sys.modules["kept_boxes"]


def search_in(folder, **changed):
    """The scores of the trials of a search among two members, one object an image.

    Args:
        folder: Of the runs.
        changed: What the boxes that the members predict are to say otherwise.
    """
    ids = range(1, 5)
    images = pd.DataFrame({"image_id": ids, "width": 40, "height": 30})
    images = images.assign(file_name=[f"{n}.png" for n in ids], group=list("abcd"), extra=None)
    box = {"x_min": 0.0, "y_min": 0.0, "x_max": 10.0, "y_max": 10.0}
    rows = pd.DataFrame({"annotation_id": ids, "image_id": ids}).assign(
        **box, category_id=5, area=100.0, segmentation=None, iscrowd=False, source="human",
        score=1.0, extra=None,
    )  # fmt: skip
    category = pd.DataFrame({"category_id": [5], "name": ["Paper"], "supercategory": ""})
    train = Annotations(
        IMAGES.conform(images, where="images"),
        ANNOTATIONS.conform(rows, where="annotations"),
        CATEGORIES.conform(category.assign(extra=None), where="categories"),
    )
    folds = pd.DataFrame({"image_id": ids, "fold": [0, 0, 1, 1]})
    found = pd.DataFrame({"image_id": ids}).assign(
        **{"category_id": 5, "score": 0.95, **box, **changed}
    )
    boxes = DETECTIONS.conform(found, where="boxes")
    members = {
        f"{name}.fold{fold}": boxes[2 * fold : 2 * fold + 2] for name in "ab" for fold in (0, 1)
    }
    *_, history = searching.searcher("det", "final", list(members))(
        Search(trials=3, det=("keep_all",)), BoxFusion(), train, folds, RunFolder(folder),
        BoxMetric.model_validate({}), **members,
    )  # fmt: skip
    return history["score"].tolist()


def journals(folder):
    return sorted((folder / "searches/det/final").iterdir())


def test_trials_that_another_code_has_scored_are_not_gone_on_with(own_method, tmp_path):
    runs = tmp_path / "runs"
    before = search_in(runs)
    assert search_in(runs) == before
    assert len(journals(runs)) == 1
    # In its cache Python knows a file by its time, to the second, and its size.
    own_method.write_text(own_method.read_text().replace(">= least_score", "< least_score / 2"))
    importlib.reload(sys.modules["kept_boxes"])
    after = search_in(runs)
    assert after != before
    assert after == search_in(tmp_path / "others")
    assert len(journals(runs)) == 2


def test_trials_of_another_version_of_a_library_are_not_gone_on_with(
    own_method, tmp_path, monkeypatch
):
    search_in(tmp_path)
    monkeypatch.setattr(searching, "version", lambda library: "0.1")
    search_in(tmp_path)
    assert len(journals(tmp_path)) == 2


def test_trials_of_other_predictions_that_score_alike_are_not_gone_on_with(own_method, tmp_path):
    scores = search_in(tmp_path)
    assert search_in(tmp_path, score=0.9) == scores  # one box an image: the order is the same
    assert len(journals(tmp_path)) == 2
    search_in(tmp_path, score=0.9)
    assert len(journals(tmp_path)) == 2


def test_labels_probabilities_and_settings_of_the_metric_are_told_of_a_search(annotations):
    def of(truth=annotations, metric="miou", level=100):
        planes = ProbabilityMaps([1], lambda image_id: np.full((2, 4, 5), level, np.uint8))
        members = {"a": planes.label_maps(), probabilities_key("a"): planes}
        return searching.data_of(truth, members, MaskMetric(metric=metric))

    assert of() == of()
    moved = replace(annotations, annotations=annotations.annotations.assign(category_id=7))
    told = {of(), of(moved), of(metric="mean_dice"), of(level=101)}
    assert len(told) == 4
