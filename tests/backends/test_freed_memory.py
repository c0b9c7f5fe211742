"""A training takes the memory that its last step has freed, and gives it back at its end."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backends.freed_memory_steps import (
    LARGE,
    given_back,
    kept_afterwards,
    kept_in_training,
    kept_inside,
    kept_of_a_step,
)


def in_new_process(function: Callable[..., int], *arguments: Any) -> int:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def test_what_a_step_has_freed_is_kept_inside() -> None:
    assert in_new_process(kept_of_a_step) < LARGE // 2
    assert in_new_process(kept_inside) > LARGE // 2


def test_it_is_given_back_at_the_end_and_later_steps_give_theirs_back() -> None:
    assert in_new_process(given_back) > LARGE // 2
    assert in_new_process(kept_afterwards) < LARGE // 2


def test_a_training_keeps_what_a_step_has_freed(tmp_path: Path) -> None:
    pytest.importorskip("mmengine.runner")
    assert in_new_process(kept_in_training, tmp_path) > LARGE // 2
