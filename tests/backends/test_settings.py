"""What a user may write about a model, and what is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from recycling.backends import BackendError, Model
from recycling.backends.core import refuse

BASE: dict[str, Any] = {
    "task": "seg",
    "backend": "mmseg",
    "recipe": "unet",
    "image_size": 64,
    "epochs": 1,
    "batch_size": 4,
    "optimizer": {"learning_rate": 0.1},
}


def model(**settings: Any) -> Model:
    return Model(**{**BASE, **settings})


def test_a_loss_is_a_name_its_settings_or_a_weighted_sum() -> None:
    losses = [
        ("dice", [("dice", 1.0)]),
        ({"name": "focal", "gamma": 3}, [("focal", 1.0)]),
        ({"cross_entropy": 1, "dice": 3}, [("cross_entropy", 1.0), ("dice", 3.0)]),
        (["lovasz", {"name": "dice", "weight": 2}], [("lovasz", 1.0), ("dice", 2.0)]),
    ]
    for given, expected in losses:
        loss = model(loss=given).loss
        assert loss is not None
        assert [(one.name, one.weight) for one in loss] == expected


def test_an_augmentation_without_arguments_is_a_name() -> None:
    given = ["HorizontalFlip", {"GaussNoise": {"p": 0.3}}, {"mosaic": None}]
    expected = ({"HorizontalFlip": {}}, {"GaussNoise": {"p": 0.3}}, {"mosaic": {}})
    assert model(augmentation=given).augmentation == expected


def test_settings_written_down_are_read_as_the_same_settings() -> None:
    losses = [{"name": "focal", "gamma": 1.5, "class_weights": "balanced"}, "lovasz"]
    given = model(loss=losses, sampler={"name": "repeat_factor", "threshold": 0.2})
    assert Model(**given.model_dump(mode="json")) == given
    assert Model.model_validate_json(given.model_dump_json()) == given


def test_a_loss_has_its_own_settings_and_no_others() -> None:
    (loss,) = model(loss={"name": "focal", "gamma": 1.5}).loss or ()
    assert loss.model_dump() == {
        "name": "focal",
        "weight": 1.0,
        "class_weights": None,
        "gamma": 1.5,
        "alpha": 0.25,
    }


def test_boxes_have_a_threshold_and_other_predictions_none() -> None:
    assert model().score_threshold is None
    assert model(task="det", backend="mmdet").score_threshold == 0.01
    assert model(task="det", backend="mmdet", score_threshold=0.5).score_threshold == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"los": "dice"}, "los"),
        ({"loss": "f1"}, "does not fit task 'seg'; use one of cross_entropy, dice, focal, lovasz"),
        (
            {"loss": {"name": "dice", "gamma": 1}},
            r"'dice' takes no 'gamma' \(it is a setting of focal\); it takes weight, class_weights",
        ),
        ({"loss": "lovas"}, "no loss is called 'lovas'; did you mean 'lovasz'"),
        ({"loss": {"weight": 2, "name": "dice", "clip": 0.05}}, "'dice' takes no 'clip'"),
        (
            {"schedule": {"name": "cosine", "factor": 0.3}},
            r"'cosine' takes no 'factor' \(it is a setting of step\); it takes warmup, lowest",
        ),
        ({"sampler": {"threshold": 0.5}}, "'shuffle' takes no 'threshold'.*; it takes no settings"),
        ({"score_threshold": 0.01}, "score_threshold is of boxes; task 'seg' has none"),
        ({"schedule": {"name": "step", "milestones": [0.9, 0.5]}}, "in rising order"),
        ({"augmentation": [{"HorizontalFlip": {}, "VerticalFlip": {}}]}, "one name"),
        ({"anchors": "proposed"}, "anchors are of boxes"),
        ({"sampler": {"name": "oversample", "copies": {"Can": 0}}}, "whole numbers from 1"),
        ({"pretrained_sha256": "0123abcd"}, "'none'"),
        ({"batch_size": 3, "devices": 2}, "cannot be divided among 2"),
        ({"batch_size": 6, "devices": {"nodes": 2, "per_node": 2}}, "cannot be divided among 4"),
        ({"test_time_augmentation": {"scales": [0]}}, "greater than 0"),
        ({"backend": "mmdet"}, "does not train task 'seg'"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model(**settings)


def test_a_setting_that_a_backend_cannot_honour_is_an_error() -> None:
    cannot = {"ema": "remove it", "freeze": "use mmdet"}
    refuse(model(), cannot)
    with pytest.raises(BackendError, match=r"'unet': mmseg cannot honour 'ema'; remove it"):
        refuse(model(ema=0.99), cannot)
    with pytest.raises(BackendError, match=r"mmseg cannot honour 'freeze'; use mmdet$"):
        refuse(model(freeze=1), cannot)
    with pytest.raises(ValidationError, match="score_weights is of boxes; task 'seg' has none"):
        model(score_weights=True)
