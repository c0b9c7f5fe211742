"""The config of a detectron2 checkpoint is looked at before the library reads it."""

from __future__ import annotations

import pytest
import yaml

from recycling.backends.detectron2_backend.checkpoint import check_config


@pytest.mark.parametrize("below", ["a: *l{m}, b: *l{m}", "<<: [*l{m}, *l{m}]"])
def test_a_config_stands_for_no_more_than_a_config_holds(below: str) -> None:
    lines = ["l0: &l0 {a: 1, b: 2}", *(_line(below, n) for n in range(1, 40))]
    with pytest.raises(ValueError, match="its config stands for more than 100,000 values"):
        check_config("\n".join(lines))


def _line(below: str, n: int) -> str:
    return f"l{n}: &l{n} {{{below.format(m=n - 1)}}}"


def test_a_config_within_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="its config stands for more than 100,000 values"):
        check_config("a: &a [*a]")


def test_aliases_of_settings_that_are_alike_are_read() -> None:
    weights = (10.0, 10.0, 5.0, 5.0)
    text = yaml.safe_dump({"MODEL": {"RPN": weights, "RETINANET": weights}})
    assert "*id001" in text
    check_config(text)


def test_a_config_that_names_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="its config names another file"):
        check_config("_BASE_: /etc/passwd")
