"""Timing two ways to the same result, and the table that says how they compare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

LEAST_SECONDS = 0.2
"""Of a turn: a short call is made many times, and all of them count."""


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: What was done, on what.
        peer: What ours was compared with.
        peer_seconds: What the peer took.
        our_seconds: What ours took, measured as the peer was.
        target: The ratio aimed at, if there is one.
    """

    what: str
    peer: str
    peer_seconds: float
    our_seconds: float
    target: float | None = None

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.peer_seconds / self.our_seconds


def by_turns(turns: int, calls: Mapping[str, Callable[[], Any]]) -> dict[str, tuple[float, Any]]:
    """Time calls that take turns, every one of them in the same way.

    In a turn each is called until `LEAST_SECONDS` have passed, at least once, and the mean is
    taken; of the turns' means the median. No call has more chances of a lucky moment than another.

    Args:
        turns: How many.
        calls: By name; each ought to have been called before, where it compiles something.

    Returns:
        Of each, seconds a call and the last result.
    """
    means: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for _ in range(turns):
        for name, call in calls.items():
            n, passed, start = 0, 0.0, time.perf_counter()
            while n == 0 or passed < LEAST_SECONDS:
                results[name] = call()
                n, passed = n + 1, time.perf_counter() - start
            means[name].append(passed / n)
    return {name: (median(means[name]), results[name]) for name in calls}


def show(title: str, rows: list[Row]) -> None:
    """Print the table."""
    table = Table("what", "peer", "peer s", "ours s", "ratio", "target", title=title)
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}x"
        table.add_row(
            row.what,
            row.peer,
            f"{row.peer_seconds:.3g}",
            f"{row.our_seconds:.3g}",
            f"{row.ratio:.3g}x",
            target,
        )
    Console(width=110).print(table)


def memory_mb(key: str) -> float:
    """Resident memory of this process now (VmRSS), or at its peak (VmHWM); Linux only.

    Not `ru_maxrss`: a process starts with the peak of the one that started it.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith(f"{key}:"))


def in_own_process(module: str, *arguments: object, environment: Mapping[str, str] = {}) -> Any:
    """Run a module in a new Python, whose memory and imports are its own.

    Args:
        module: Its last line of output is JSON.
        arguments: Of its command line.
        environment: What its variables say besides those of this process.

    Returns:
        What the JSON says.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    return json.loads(done.stdout.splitlines()[-1])
