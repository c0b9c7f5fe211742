"""What is taken, freed and kept, in functions that `test_freed_memory` runs in new processes.

New ones, as glibc serves a thread in which an allocation has once failed from a second arena, which
maps every large block.
"""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

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


def kept_inside() -> int:
    with freed_memory_kept():
        return kept_of_a_step()


def given_back() -> int:
    with freed_memory_kept():
        kept_of_a_step()
        inside = held()
    return inside - held()


def kept_afterwards() -> int:
    with freed_memory_kept():
        pass
    return kept_of_a_step()


def kept_in_training(folder: Path) -> int:
    """Bytes that stay when a step is taken where mmengine takes its steps."""
    kept = []

    def step(*_: Any) -> None:
        kept.append(kept_of_a_step())
        raise BackendError("seen")

    labeled = draw_pictures(folder)
    data = TrainingData([labeled], labeled, labeled.annotations.categories)
    with mock.patch("mmengine.runner.Runner.train", step), suppress(BackendError):
        backend_for("mmdet").train(
            model_of("mmdet"), write_recipe(folder, "mmdet"), data, folder / "run"
        )
    return kept[0]
