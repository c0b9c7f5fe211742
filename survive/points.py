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

RECORDS, BEGUN = "data/.made", "data/.made/begun/"
"""Of all outputs, and of the nodes that are at work; each is a file of its name."""

OF_RUNS = "/runs/*/"
"""In the path of what a run keeps of itself."""


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
    steps = [step for step in _steps(events) if step.is_stored]
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
    """A node in a run: what happened from its first record to that of the next, what it made."""

    node: str
    events: tuple[Event, ...]
    made: tuple[str, ...]

    @property
    def work(self) -> tuple[Event, ...]:
        """What happened from when its function was called."""
        names = [(event.kind, event.name) for event in self.events]
        return self.events[names.index((NODE, self.node)) :]

    @property
    def is_stored(self) -> bool:
        """Whether it made more than records; else nothing of it can be missing."""
        return any(not name.startswith(RECORDS) and OF_RUNS not in name for name in self.made)

    @property
    def has_workers(self) -> bool:
        """Whether it starts processes."""
        return self.node.endswith(".train") or self.node.endswith("make_augmented_set")


def _steps(events: Sequence[Event]) -> list[_Step]:
    """The nodes of a run, in their order; what begins it is in the first, what ends it in the last.

    After a node is done, its run keeps what it made.
    """
    steps: list[list[Event]] = [[]]
    for event in events:
        begins = event.kind == WRITES[0] and event.name.startswith(BEGUN)
        if begins and any(each.kind == DONE for each in steps[-1]):
            steps.append([])
        steps[-1].append(event)
    return [_step(own) for own in steps]


def _step(events: Sequence[Event]) -> _Step:
    (node,) = {event.name for event in events if event.kind == DONE}
    made = tuple(sorted({_made_by(event.name) for event in events if event.kind in WRITES}))
    return _Step(node, tuple(events), (*made, SEARCHES) if _searches(node) else made)


def _searches(node: str) -> bool:
    return node.split(".")[-1].startswith("search")


def _made_by(name: str) -> str:
    """What is removed so that a write happens again: of a training all, and the whole set."""
    head, in_training, rest = name.partition("06_models/runs/")
    if in_training:
        return head + in_training + rest.split("/")[0]
    head, _, rest = name.partition(".growing/")
    folder, _, hidden = head.rpartition("/")
    return f"{folder}/{hidden[1:]}" if rest else name


def _kind_of_file(name: str) -> str:
    """Files of one name are of one kind; so are all records, and all that a run keeps."""
    _, of_run, rest = name.partition(OF_RUNS)
    if of_run:
        return of_run + rest.split("/")[0]
    path = Path(name)
    return str(path.parent) if name.startswith(RECORDS) else path.name


def _writes(steps: Sequence[_Step], n: int, draw: random.Random) -> list[Point]:
    """Each step of a write to each kind of file."""
    kinds: dict[tuple[str, str], list[Point]] = {}
    for step in steps:
        for event in step.events:
            if event.kind in WRITES:
                point = Point(event.kind, event.name, lacks=step.made)
                kinds.setdefault((event.kind, _kind_of_file(event.name)), []).append(point)
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
    """At some moment in the work of a node: those first that go on where they were stopped.

    Every other training at the first moment from which it could: a state has just been kept.
    """
    ordered = sorted(steps, key=lambda step: step.node)
    draw.shuffle(ordered)
    ordered.sort(key=lambda step: not (step.has_workers or _searches(step.node)))
    points = []
    for number, step in enumerate(islice(cycle(ordered), n)):
        states = [event.name for event in step.work if event.name.endswith("/state.pth")]
        if states and number % 2 == 0:
            points.append(Point(WRITES[-1], states[0], lacks=step.made))
        else:
            points.append(_moment(step.work, draw, step.made))
    return points


def _moments(events: Sequence[Event], n: int, draw: random.Random) -> list[Point]:
    """At some moment of the run."""
    return [_moment(events, draw, None) for _ in range(n)]


def _moment(events: Sequence[Event], draw: random.Random, lacks: tuple[str, ...] | None) -> Point:
    """Some seconds after what happened last before: a run is not always as fast as another."""
    first: dict[tuple[str, str], float] = {}
    for event in events:
        first.setdefault((event.kind, event.name), event.seconds)
    moment = draw.uniform(events[0].seconds, events[-1].seconds)
    (kind, name), seconds = [each for each in first.items() if each[1] <= moment][-1]
    return Point(kind, name, moment - seconds, lacks)


def _workers(steps: Sequence[_Step], n: int) -> list[Point]:
    """A process that a node has started is ended."""
    own = [step for step in steps if step.has_workers]
    return [Point(WORKER, step.node, lacks=step.made) for step in islice(cycle(own), n)]
