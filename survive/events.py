"""What happens in a run: steps of writes, and nodes. It can be stopped at any of them.

Nothing of the project knows of this: its functions are wrapped in the process of the run.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recycling import files

WRITES = ("begun", "written", "flushed", "named", "kept")
"""The steps of a write: a hidden name is there, its content is there, is on the disk, has its
place, and that is on the disk too."""

NODE, DONE, WORKER, STOPPED = "node", "done", "worker", "stopped"

OF_RUN = re.compile(r"(?<=/runs/)20[^/]+")
"""The name of a run, another each time."""

TWICE_SECONDS = 0.05
"""Between a first and a second Ctrl-C."""


@dataclass(frozen=True)
class Event:
    """One thing that has happened.

    Attributes:
        kind: A step of a write, or that a node has begun or is done; or that it was stopped.
        name: The path, from the project, with a * for the name of the run; or the node.
        seconds: On the clock that all processes of the machine share.
    """

    kind: str
    name: str
    seconds: float


@dataclass(frozen=True)
class Stop:
    """Where and how a run is stopped.

    Attributes:
        kind: The event; `worker` is a node whose worker process is ended, by SIGKILL.
        name: Of the event.
        signals: One or, for Ctrl-C pressed twice, two.
        later: Seconds after the event.
        lacks: What the finished project has lost before the run, by path: what the step at that
            point makes. None where the run begins with raw data alone.
    """

    kind: str
    name: str
    signals: tuple[signal.Signals, ...]
    later: float = 0.0
    lacks: tuple[str, ...] | None = None

    def __str__(self) -> str:
        how = " and ".join(each.name for each in self.signals)
        run = "whole run" if self.lacks is None else "step"
        return f"{run}: {how} {self.later:.2f} s after {self.kind} {self.name}"


def watch(project: Path, log: Path, stop: Stop | None) -> None:
    """Note all events of this process in a file, and stop it where that is due.

    Args:
        project: Its folder.
        log: A line of JSON an event; those of several runs follow one another.
        stop: Where to stop; None to run to the end.
    """
    owner = os.getpid()
    lock = threading.Lock()
    has_stopped = False

    def note(kind: str, name: Path | str) -> None:
        nonlocal has_stopped
        if os.getpid() != owner:  # a process that was forked
            return
        if isinstance(name, Path):
            path = name.relative_to(project) if name.is_relative_to(project) else name
            name = OF_RUN.sub("*", str(path))
        with lock, log.open("a") as lines:
            lines.write(json.dumps(asdict(Event(kind, name, time.monotonic()))) + "\n")
        if stop is None or has_stopped or name != stop.name:
            return
        if kind == (NODE if stop.kind == WORKER else stop.kind):
            has_stopped = True
            _stop(stop, lambda: note(STOPPED, stop.name))

    _wrap_writes(note)
    _wrap_nodes(note)


def read_events(log: Path) -> list[Event]:
    """The events of a file, in their order."""
    return [Event(**json.loads(line)) for line in log.read_text().splitlines()]


def _wrap_writes(note: Callable[[str, Path], None]) -> None:
    places = threading.local()
    beside, flush, flush_all = files._beside, files._flush, files._flush_all_in

    @contextmanager
    def noted_beside(place: Path, make: Callable[[Path], None]) -> Iterator[Path]:
        with beside(place, make) as unfinished:
            open_ = places.__dict__.setdefault("open", {})
            open_[unfinished] = place
            note("begun", place)
            try:
                yield unfinished
            finally:
                del open_[unfinished]
        note("kept", place)

    def noted(flush: Callable[[Path], None]) -> Callable[[Path], None]:
        def noted_flush(path: Path) -> None:
            open_ = places.__dict__.get("open", {})
            if path in open_:
                note("written", open_[path])
                flush(path)
                note("flushed", open_[path])
                return
            inside = [place for place in open_.values() if place.parent == path]
            if inside:
                note("named", inside[-1])
            flush(path)

        return noted_flush

    files._beside, files._flush, files._flush_all_in = noted_beside, noted(flush), noted(flush_all)


def _wrap_nodes(note: Callable[[str, str], None]) -> None:
    from kedro.pipeline.node import Node
    from kedro.runner.task import Task

    from recycling.fingerprints import Records

    run, execute, succeed = Node.run, Task.execute, Records.succeed
    done = set[str]()

    def noted_run(node: Any, inputs: Any = None) -> Any:
        note(NODE, node.name)  # what it takes is loaded, and locked
        return run(node, inputs)

    def noted_succeed(records: Any, name: str) -> None:
        succeed(records, name)
        done.add(name)
        note(DONE, name)  # what it has made is locked still

    def noted_execute(task: Any) -> Any:
        returned = execute(task)
        if task.node.name not in done:  # a generator keeps what it makes locked till the run ends
            note(DONE, task.node.name)
        return returned

    Node.run, Task.execute, Records.succeed = noted_run, noted_execute, noted_succeed


def _stop(stop: Stop, note: Callable[[], None]) -> None:
    def send() -> None:
        time.sleep(stop.later)
        if stop.kind == WORKER:
            _end_a_worker(stop, note)
            return
        note()
        for number, each in enumerate(stop.signals):
            time.sleep(TWICE_SECONDS if number else 0)
            if each == signal.SIGINT:  # a terminal sends it to all that it has in the foreground
                os.killpg(os.getpgrp(), each)
            else:
                os.kill(os.getpid(), each)

    if stop.later or stop.kind == WORKER or len(stop.signals) > 1:
        threading.Thread(target=send, daemon=True).start()
    else:
        send()


def _end_a_worker(stop: Stop, note: Callable[[], None]) -> None:
    """End a process that this one has started, once there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        threads = Path("/proc/self/task").glob("*/children")
        if started := [child for thread in threads for child in thread.read_text().split()]:
            note()
            os.kill(int(random.choice(started)), stop.signals[0])
            return
        time.sleep(0.01)
