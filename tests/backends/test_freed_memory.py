"""A training takes the memory that its last step has freed, and gives it back at its end."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from recycling.backends.mmengine_backend import session
from recycling.backends.shared.freed_memory import freed_memory_kept

PAGE = resource.getpagesize()
LARGE = 256 * 1024**2
"""Bytes; above what glibc keeps of itself."""


def pages_cleared() -> int:
    """Pages that the kernel had to clear for this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def held() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def a_step() -> None:
    np.ones(LARGE, np.uint8)


@pytest.mark.parametrize(
    "inside",
    [freed_memory_kept, lambda: session.library("mmdet")],
    ids=["by itself", "a training"],
)
def test_a_step_clears_no_page_anew_and_all_is_given_back(
    inside: Callable[[], AbstractContextManager[None]],
) -> None:
    with inside():
        pass  # what it imports stays
    before = held()
    with inside():
        a_step()
        cleared = pages_cleared()
        for _ in range(8):
            a_step()
        assert pages_cleared() - cleared < LARGE // PAGE // 8
        assert held() - before > LARGE // 2
    assert held() - before < LARGE // 2
