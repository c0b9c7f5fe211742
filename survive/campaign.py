"""Stop a run at many points, let the next one go on, and compare."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from survive.events import STOPPED, WORKER, Event, Stop, read_events
from survive.outcome import faults, outputs, overlaps
from survive.processes import HangsError, Run, start
from survive.writers import faults_of_writers

GOES_ON = "--only-missing-outputs"
INTERRUPTED = 128 + signal.SIGINT


@dataclass(frozen=True)
class Reference:
    """A run that was left alone.

    Attributes:
        project: As it was before: only its raw data.
        finished: As it is after.
        outputs: The sha256 of each output.
        events: What happened.
    """

    project: Path
    finished: Path
    outputs: dict[str, str]
    events: list[Event]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.events[-1].seconds - self.events[0].seconds


def refer(folder: Path, build: Callable[[Path], Path]) -> Reference:
    """Run a project from its raw data to its end.

    Raises:
        RuntimeError: It did not succeed.
    """
    project = build(folder / "raw")
    own = folder / "alone"
    shutil.copytree(project, own)
    log = folder / "alone.jsonl"
    if (status := start(own, (), log).wait()) != 0:
        raise RuntimeError(f"the run that is left alone ended with {status}; see {log}")
    return Reference(project, own, outputs(own), read_events(log))


def try_point(
    reference: Reference, stop: Stop, folder: Path, without: str | None = None, n_next: int = 1
) -> list[str]:
    """Stop a run at a point, let others go on, and say what is not as it should be.

    Args:
        reference: What it is compared with.
        stop: The point.
        folder: Where it runs; removed where all is well.
        without: The mechanism that is taken out.
        n_next: How many runs go on, all at once.
    """
    project = folder / "project"
    arguments = _prepare(project, reference, stop)
    logs = [folder / "stopped.jsonl", *(folder / f"next_{n}.jsonl" for n in range(n_next))]
    found = []
    try:
        stopped = start(project, arguments, logs[0], stop, without)
        status = stopped.wait()
        if status not in _expected(stop):
            found.append(f"the run that was stopped ended with {status}; see {stopped.output}")
        stopped.wait_for_workers()
        further = [start(project, (GOES_ON,), log, without=without) for log in logs[1:]]
        found += _ends(further)
    except HangsError as error:
        return [*found, str(error)]
    lives = [read_events(log) for log in logs if log.exists()]
    if all(event.kind != STOPPED for event in lives[0]):
        found.append("the run ended before it could be stopped")
    all_events = [event for own in lives for event in own]
    found += faults(project, reference.outputs, reference.events, all_events)
    found += overlaps(lives)
    if not found:
        shutil.rmtree(folder)
    return found


def try_points(
    reference: Reference, stops: Sequence[Stop], folder: Path, without: str | None = None
) -> int:
    """Try points one after another, and print a line for each; every fifth is gone on from twice.

    With a mechanism taken out, the first that does not end as it should is the last.

    Returns:
        How many did not end as they should.
    """
    n_bad = 0
    for number, stop in enumerate(stops, start=1):
        n_next = 2 if number % 5 == 0 else 1
        found = try_point(reference, stop, folder / f"{number:03d}", without, n_next)
        n_bad += bool(found)
        how = f"{stop}, two runs at once go on" if n_next > 1 else str(stop)
        print(f"{number:>3}/{len(stops)} {how}: {'bad' if found else 'as it was'}", flush=True)
        for line in found[:10]:
            print(f"        {line}", flush=True)
        if found and without is not None:
            return n_bad
    if found := faults_of_writers(folder / "writers", without):
        n_bad += 1
    print(f"many writers of one place: {'; '.join(found) or 'one whole value'}", flush=True)
    return n_bad


def _prepare(project: Path, reference: Reference, stop: Stop) -> tuple[str, ...]:
    """Copy the project that is stopped; what the command takes, so that it comes to the point."""
    if stop.lacks is None:
        shutil.copytree(reference.project, project)
        return ()
    shutil.copytree(reference.finished, project, symlinks=True)
    for name in stop.lacks:
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return (GOES_ON,)


def _ends(runs: Sequence[Run]) -> list[str]:
    found = [
        f"the next run ended with {status}; see {run.output}"
        for run in runs
        if (status := run.wait()) != 0
    ]
    for run in runs:
        run.wait_for_workers()
    return found


def _expected(stop: Stop) -> set[int]:
    """How a run may end that is stopped; 0 where it had come to its end before."""
    if stop.kind == WORKER:
        return {0, 1}
    if stop.signals[0] == signal.SIGINT:
        return {0, INTERRUPTED}
    return {0, -stop.signals[0]}
