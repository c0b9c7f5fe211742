"""Both sides of a benchmark are timed in the same way."""

import time

import pytest

from bench import comparison


def test_every_call_of_both_sides_counts(monkeypatch: pytest.MonkeyPatch) -> None:
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
