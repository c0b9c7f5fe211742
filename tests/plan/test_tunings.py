"""A search that would not do what it says is refused before it begins."""

from __future__ import annotations

from typing import Any

import pytest

from recycling.plan.parameters import PlanError
from recycling.plan.tunings import read_tunings

BASE = {"task": "det", "backend": "mmdet", "recipe": "yolox_nano", "image_size": 64, "epochs": 4}
SPACE = {"epochs": [4, 8]}


def tuned(space: dict[str, Any], **base: Any) -> Any:
    parameters = {
        "models": {"yolox": {**BASE, **base}},
        "tuning": {"longer": {"base": "yolox", "space": space}},
    }
    return read_tunings(parameters, "tuning.yml")


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ({"train_on": "labeled+pseudo"}, r"yolox has train_on: labeled\+pseudo, and a search"),
        ({"data": "turned"}, "yolox has data: turned, and a search learns from the labelled"),
        ({"pretrained": "model:fcos"}, r"yolox starts from another model \(model:fcos\)"),
    ],
    ids=["pseudo-labels", "augmented", "another model"],
)
def test_a_base_that_a_search_would_train_otherwise_is_refused(
    base: dict[str, Any], said: str
) -> None:
    with pytest.raises(PlanError, match=rf"^tuning.yml: tuning.longer.base: {said}"):
        tuned(SPACE, **base)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"epoch": [4, 8]}, "did you mean 'epochs'"),
        ({"optimizer.rate": {"low": 0.001, "high": 0.1, "log": True}}, "optimizer.rate"),
        ({"data": ["turned", "flipped"]}, "takes other data; leave it out"),
        ({"seed": [0, 1]}, "set for the whole search"),
        ({"variant_of": ["a", "b"]}, "leave it out"),
        ({"pretrained": ["none", "model:fcos"]}, "model:fcos is another model"),
        ({"batch_size": [4, 8, 4]}, "space.batch_size has a value twice"),
        ({"batch_size": {"low": 1, "high": float("inf")}}, "finite number"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_cannot_be_searched_is_refused(space: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said) as error:
        tuned({**SPACE, **space})
    assert str(error.value).startswith("tuning.yml: tuning.longer")
    assert "\n" not in str(error.value)


def test_what_can_be_searched_is_read() -> None:
    space = {**SPACE, "optimizer.learning_rate": {"low": 0.001, "high": 0.1, "log": True}}
    assert tuned(space, train_on="labeled", data=None)["longer"].trials == 20
