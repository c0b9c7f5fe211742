"""Timing two ways to the same result, and the table that says how they compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.table import Table

Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: What was done, on what.
        peer: What ours was compared with.
        peer_seconds: The best time of the peer.
        our_seconds: The best time of ours.
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


def best_of(repeats: int, call: Callable[[], Result]) -> tuple[float, Result]:
    """The shortest of some timings, in seconds, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


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
