"""Both sides of a benchmark are timed in the same way."""

import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_call_of_both_sides_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    # By its path: among the tests, `bench` is this folder.
    spec = spec_from_file_location("comparison_of_bench", ROOT / "bench" / "comparison.py")
    assert spec is not None
    assert spec.loader is not None
    comparison = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, comparison)
    spec.loader.exec_module(comparison)
    now = 0.0

    def call(seconds: list[float]) -> int:
        nonlocal now
        now += seconds.pop(0)
        return len(seconds)

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(comparison, "LEAST_SECONDS", 2.0)
    quick = [0.5, 1.5, 1.0, 3.0, 9.0]  # means of turns: 1, 2, 9
    slow = [8.0, 4.0, 6.0]
    timed = comparison.by_turns(3, {"ours": lambda: call(quick), "peer": lambda: call(slow)})
    assert timed == {"ours": (2.0, 0), "peer": (6.0, 0)}
