"""What a name means: a fold, a model with all its folds, an ensemble with all its members."""

from __future__ import annotations

import pytest

from recycling.inference import InferenceError
from recycling.plan import Plan, read_plan
from recycling.predictors import look_up

DETECTOR = {
    "task": "det", "backend": "mmdet", "recipe": "yolox_nano", "image_size": 64, "epochs": 1,
    "batch_size": 2, "optimizer": {"name": "SGD", "learning_rate": 0.1},
}  # fmt: skip
PARAMETERS = {
    "models": {"yolox": {**DETECTOR, "folds": [0, 1]}, "fcos": DETECTOR},
    "ensembles": {"folds": {"members": ["yolox.fold*"]}},
}


@pytest.fixture
def plan() -> Plan:
    return read_plan(PARAMETERS, "models.yml")


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("det.yolox.fold1", ["yolox.fold1"]),
        ("det.yolox", ["yolox.fold0", "yolox.fold1"]),
        ("det.folds", ["yolox.fold0", "yolox.fold1"]),
        ("det.final", ["yolox.fold0", "yolox.fold1", "fcos.fold0"]),
    ],
)
def test_a_name_means_its_trainings(plan, name, members):
    assert [own.name for own in look_up(name, plan).trainings] == members


def test_a_name_that_is_none_is_answered_with_the_nearest(plan):
    with pytest.raises(InferenceError, match=r"--with det\.yolx: did you mean 'det\.yolox'"):
        look_up("det.yolx", plan)


def test_a_file_of_predictions_predicts_nothing_new(tmp_path):
    plan = read_plan(PARAMETERS, "models.yml", {"det": {"theirs": tmp_path / "theirs.csv"}})
    assert look_up("det.folds", plan)
    with pytest.raises(InferenceError, match=r"det\.final: theirs\S* is a file of predictions"):
        look_up("det.final", plan)
