"""A training takes the memory that its last step has freed, and gives it back at its end."""

from __future__ import annotations

import resource
from collections.abc import Callable
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


def pages_cleared_by(step: Callable[[], None]) -> int:
    """Pages that the kernel had to clear for this process meanwhile."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def held() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def a_step() -> None:
    np.ones(LARGE, np.uint8)


def test_a_step_clears_no_page_anew_and_all_is_given_back() -> None:
    with freed_memory_kept():
        a_step()
        assert pages_cleared_by(a_step) < LARGE // PAGE // 8
        inside = held()
    assert inside - held() > LARGE // 2


def test_a_training_keeps_what_a_step_has_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = pytest.importorskip("mmengine.runner")
    cleared = []

    def two_steps(*_: Any) -> None:
        a_step()
        cleared.append(pages_cleared_by(a_step))
        raise BackendError("seen")

    monkeypatch.setattr(runner.Runner, "train", two_steps)
    labeled = draw_pictures(tmp_path)
    data = TrainingData([labeled], labeled, labeled.annotations.categories)
    with pytest.raises(BackendError, match="seen"):
        backend_for("mmdet").train(
            model_of("mmdet"), write_recipe(tmp_path, "mmdet"), data, tmp_path / "run"
        )
    assert cleared[0] < LARGE // PAGE // 8
