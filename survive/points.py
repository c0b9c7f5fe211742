"""Where runs are stopped: at every kind of step that a run which was left alone has taken."""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
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

SEARCHES = "data/06_models/runs/searches"
"""Their journals grow line by line, and are no writes of files."""

WITH_WORKERS = (".train", "augmented")
"""What the names of nodes hold that start processes."""


@dataclass(frozen=True)
class Point:
    """A moment of a run; see `Stop`."""

    kind: str
    name: str
    later: float = 0.0
    lacks: tuple[str, ...] | None = None


def draw(events: Sequence[Event], n_points: int, seed: int) -> list[Stop]:
    """Draw points, with another way to stop at each.

    Writes are drawn so that each step of a write, and each kind of file, comes before any comes
    again; nodes so that trainings and searches come first. At these only the step is made anew, of
    a project that is finished but for it; a random moment is one of a whole run.

    Args:
        events: Of a run that was left alone.
        n_points: How many.
        seed: The same seed and events give the same points.
    """
    draw = random.Random(seed)
    counts = {kind: max(1, round(share * n_points)) for kind, share in SHARES.items()}
    steps = _steps(events)
    points = [
        *_writes(steps, counts["write"], draw),
        *_nodes(steps, counts["node"], draw),
        *_moments(events, counts["random"], draw),
        *_workers(steps, counts["worker"]),
    ]
    draw.shuffle(points)
    return [
        Stop(
            point.kind,
            point.name,
            (signal.SIGKILL,) if point.kind == WORKER else SIGNALS[n % len(SIGNALS)],
            point.later,
            point.lacks,
        )
        for n, point in enumerate(points[:n_points])
    ]


@dataclass(frozen=True)
class _Step:
    """A node in a run: how long it took, the steps of its writes, and what it made."""

    node: str
    seconds: float
    writes: tuple[tuple[str, str], ...]
    made: tuple[str, ...]


def _steps(events: Sequence[Event]) -> list[_Step]:
    """The nodes of a run, in their order; what ends it is in none."""
    steps, writes, began = [], list[tuple[str, str]](), 0.0
    for event in events:
        if event.kind in WRITES and "/runs/20" not in event.name:
            # The name of a run is another each time: what is in its folder cannot be waited for.
            writes.append((event.kind, event.name))
        elif event.kind == NODE:
            began = event.seconds
        elif event.kind == DONE:
            made = tuple(sorted({_made_by(name) for _, name in writes}))
            if any("search" in name for name in made):
                made += (SEARCHES,)
            steps.append(_Step(event.name, event.seconds - began, tuple(writes), made))
            writes = []
    return steps


def _made_by(name: str) -> str:
    """What is removed so that a write happens again: of a training all, and the whole set."""
    head, in_training, rest = name.partition("06_models/runs/")
    if in_training:
        return head + in_training + rest.split("/")[0]
    head, _, rest = name.partition(".growing/")
    folder, _, hidden = head.rpartition("/")
    return f"{folder}/{hidden[1:]}" if rest else name


def _writes(steps: Sequence[_Step], n: int, draw: random.Random) -> list[Point]:
    """Each step of a write to each kind of file: files of one name are of one kind."""
    kinds: dict[tuple[str, str], list[Point]] = {}
    for step in steps:
        for kind, name in step.writes:
            point = Point(kind, name, lacks=step.made)
            kinds.setdefault((kind, Path(name).name), []).append(point)
    files = sorted({file for _, file in kinds})
    draw.shuffle(files)
    ordered = [
        (WRITES[(number + turn) % len(WRITES)], file)
        for turn in range(len(WRITES))
        for number, file in enumerate(files)
    ]
    there = [key for key in ordered if key in kinds]
    return [draw.choice(kinds[key]) for key in islice(cycle(there), n)]


def _nodes(steps: Sequence[_Step], n: int, draw: random.Random) -> list[Point]:
    """At some moment in the work of a node: those first that go on where they were stopped."""
    ordered = sorted(steps, key=lambda step: step.node)
    draw.shuffle(ordered)
    ordered.sort(key=lambda step: not any(word in step.node for word in (*WITH_WORKERS, "search")))
    return [
        Point(NODE, step.node, draw.uniform(0.1, 0.95) * step.seconds, step.made)
        for step in islice(cycle(ordered), n)
    ]


def _moments(events: Sequence[Event], n: int, draw: random.Random) -> list[Point]:
    """At some moment of the run."""
    first, last = events[0], events[-1]
    length = last.seconds - first.seconds
    return [Point(first.kind, first.name, draw.uniform(0, length)) for _ in range(n)]


def _workers(steps: Sequence[_Step], n: int) -> list[Point]:
    """A process that a node has started is ended."""
    own = [step for step in steps if any(word in step.node for word in WITH_WORKERS)]
    return [Point(WORKER, step.node, lacks=step.made) for step in islice(cycle(own), n)]
