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
    one = model(loss="focal", sampler={"name": "repeat_factor", "threshold": 0.2})
    assert Model(**one.model_dump(mode="json")) == one


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"los": "dice"}, "los"),
        ({"loss": "f1"}, "does not fit task 'seg'; use one of cross_entropy, focal, dice, lovasz"),
        ({"loss": {"name": "dice", "gamma": 1}}, "'gamma' means nothing to 'dice', only to focal"),
        ({"schedule": {"name": "cosine", "factor": 0.3}}, "means nothing to 'cosine'"),
        ({"schedule": {"name": "step", "milestones": [0.9, 0.5]}}, "in rising order"),
        ({"augmentation": [{"HorizontalFlip": {}, "VerticalFlip": {}}]}, "one name"),
        ({"anchors": "proposed"}, "anchors are of boxes"),
        ({"sampler": {"name": "oversample", "copies": {"Can": 0}}}, "whole numbers from 1"),
        ({"pretrained_sha256": "0123abcd"}, "'none'"),
        ({"batch_size": 3, "devices": 2}, "cannot be divided among 2"),
        ({"test_time_augmentation": {"scales": [0]}}, "greater than 0"),
        ({"backend": "mmdet"}, "does not train task 'seg'"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model(**settings)


def test_a_setting_that_a_backend_cannot_honour_is_an_error() -> None:
    refuse(model(), ["ema", "freeze"])
    with pytest.raises(BackendError, match=r"'unet': mmseg cannot honour 'ema'; remove it"):
        refuse(model(ema=0.99), ["ema", "freeze"])
