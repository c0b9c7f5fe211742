"""A training takes the memory that its last step has freed, and gives it back at its end."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.tiny_trainings import draw_pictures, model_of, write_recipe
from recycling.backends import BackendError, TrainingData, backend_for
from recycling.backends.shared.freed_memory import freed_memory_kept

PAGE = resource.getpagesize()
LARGE = 256 * 1024**2
"""Bytes; above what glibc keeps of itself."""


def held() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def kept_of_a_step() -> int:
    """Bytes that the process still holds after a step that took and freed `LARGE`."""
    ctypes.CDLL(None).malloc_trim(0)  # what was free before is not it
    before = held()
    np.ones(LARGE, np.uint8)
    return held() - before


def test_what_a_step_has_freed_is_kept_inside_and_given_back_at_the_end() -> None:
    assert kept_of_a_step() < LARGE // 2
    with freed_memory_kept():
        assert kept_of_a_step() > LARGE // 2
        inside = held()
    assert inside - held() > LARGE // 2
    assert kept_of_a_step() < LARGE // 2


def test_a_training_keeps_what_a_step_has_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = pytest.importorskip("mmengine.runner")
    kept = []

    def step(*_: Any) -> None:
        kept.append(kept_of_a_step())
        raise BackendError("seen")

    monkeypatch.setattr(runner.Runner, "train", step)
    labeled = draw_pictures(tmp_path)
    data = TrainingData([labeled], labeled, labeled.annotations.categories)
    with pytest.raises(BackendError, match="seen"):
        backend_for("mmdet").train(
            model_of("mmdet"), write_recipe(tmp_path, "mmdet"), data, tmp_path / "run"
        )
    assert kept[0] > LARGE // 2
