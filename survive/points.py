"""Where runs are stopped: at every kind of step that a run which was left alone has taken."""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from survive.events import DONE, NODE, WORKER, WRITES, Event, Stop

SIGNALS = (
    (signal.SIGKILL,),
    (signal.SIGTERM,),
    (signal.SIGINT,),
    (signal.SIGINT, signal.SIGINT),
)

SHARES = {"write": 0.5, "node": 0.35, "random": 0.1, "worker": 0.05}
"""Of the points; at least one each."""

WITH_WORKERS = (".train", "augmented")
"""What the names of nodes hold that start processes."""


def draw(events: Sequence[Event], n_points: int, seed: int) -> list[Stop]:
    """Draw points, with another way to stop at each.

    Writes are drawn so that each step of a write, and each kind of file, comes before any comes
    again; nodes so that trainings and searches come first.

    Args:
        events: Of a run that was left alone.
        n_points: How many.
        seed: The same seed and events give the same points.
    """
    draw = random.Random(seed)
    counts = {kind: max(1, round(share * n_points)) for kind, share in SHARES.items()}
    points = [
        *_writes(events, counts["write"], draw),
        *_nodes(events, counts["node"], draw),
        *_moments(events, counts["random"], draw),
        *_workers(events, counts["worker"]),
    ]
    draw.shuffle(points)
    return [
        Stop(kind, name, (signal.SIGKILL,) if kind == WORKER else SIGNALS[n % len(SIGNALS)], later)
        for n, (kind, name, later) in enumerate(points[:n_points])
    ]


Point = tuple[str, str, float]


def _writes(events: Sequence[Event], n: int, draw: random.Random) -> list[Point]:
    """Each step of a write to each kind of file: files of one name are of one kind."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for event in events:
        if event.kind in WRITES:
            kinds.setdefault((event.kind, Path(event.name).name), []).append(event.name)
    # The name of a run is another each time: what is in its folder cannot be waited for.
    kinds = {
        key: names
        for key, own in kinds.items()
        if (names := [name for name in own if "/runs/" not in name])
    }
    files = sorted({file for _, file in kinds})
    draw.shuffle(files)
    ordered = [
        (WRITES[(number + turn) % len(WRITES)], file)
        for turn in range(len(WRITES))
        for number, file in enumerate(files)
    ]
    there = [key for key in ordered if key in kinds]
    return [(key[0], draw.choice(kinds[key]), 0.0) for key in islice(cycle(there), n)]


def _nodes(events: Sequence[Event], n: int, draw: random.Random) -> list[Point]:
    """At some moment in the work of a node: those first that go on where they were stopped."""
    began, took = {}, {}
    for event in events:
        if event.kind == NODE:
            began[event.name] = event.seconds
        elif event.kind == DONE and event.name in began:
            took[event.name] = event.seconds - began[event.name]
    names = sorted(took)
    draw.shuffle(names)
    names.sort(key=lambda name: not any(word in name for word in (*WITH_WORKERS, "search")))
    return [(NODE, name, draw.uniform(0.1, 0.95) * took[name]) for name in islice(cycle(names), n)]


def _moments(events: Sequence[Event], n: int, draw: random.Random) -> list[Point]:
    """At some moment of the run."""
    first, last = events[0], events[-1]
    length = last.seconds - first.seconds
    return [(first.kind, first.name, draw.uniform(0, length)) for _ in range(n)]


def _workers(events: Sequence[Event], n: int) -> list[Point]:
    """A process that a node has started is ended."""
    names = [event.name for event in events if event.kind == NODE]
    names = [name for name in names if any(word in name for word in WITH_WORKERS)]
    return [(WORKER, names[number % len(names)], 0.0) for number in range(n)] if names else []
