"""Ctrl-C: once, and a run ends where it can be gone on from; twice, and it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest
from joblib import Parallel, delayed
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro.runner.runner import AbstractRunner

from clone import copy_project
from recycling.datasets import TextDataset
from recycling.runners import KeepGoingRunner, KeepGoingThreadRunner, RunStoppedError

RUNNERS = [KeepGoingRunner, KeepGoingThreadRunner]

STOPPED = 3
"""Ends a process whose run has said that it stopped."""


def waiting(folder: Path) -> str:
    while not (folder / "go").exists():
        time.sleep(0.01)
    return "made"


def with_workers(folder: Path) -> str:
    """Work in processes that are forked, and in ones of a program of their own."""
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as forked:
        list(forked.map(time.sleep, [0.8, 0.8]))
    Parallel(n_jobs=2)(delayed(time.sleep)(0.8) for _ in range(2))
    return "made"


@dataclass
class Terminal:
    """A run of two nodes in a session of its own."""

    process: int
    folder: Path

    def press(self) -> None:
        """Ctrl-C, which a terminal sends to all processes in it."""
        os.killpg(self.process, signal.SIGINT)
        time.sleep(0.2)

    def has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> tuple[int, str]:
        """Its exit status, and what it has printed."""
        deadline = time.monotonic() + 60
        while not self.has_ended():
            assert time.monotonic() < deadline, (self.folder / "printed").read_text()
            time.sleep(0.02)
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        return status, (self.folder / "printed").read_text()


def begin(folder: Path, runner: type[AbstractRunner], work: Callable[[Path], str]) -> Terminal:
    """Start, and wait till the first node has begun."""
    (folder / "raw").write_text("raw")
    if (child := os.fork()) == 0:
        os.setsid()
        printed = os.open(folder / "printed", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(printed, stream)
        sys.stdout = sys.stderr = os.fdopen(1, "w")
        status = 1
        try:
            status = run(folder, runner(), work)
        finally:
            sys.stdout.flush()
            os._exit(status)
    while not (folder / "begun").exists():
        time.sleep(0.01)
    return Terminal(child, folder)


def run(folder: Path, runner: AbstractRunner, work: Callable[[Path], str]) -> int:
    def first(raw: str) -> str:
        (folder / "begun").touch()
        return work(folder)

    def second(made: str) -> str:
        return made.upper()

    names = ("raw", "first", "second")
    catalog = DataCatalog({name: TextDataset(filepath=folder / name) for name in names})
    pipeline = Pipeline([node(first, "raw", "first"), node(second, "first", "second")])
    try:
        runner.run(pipeline, catalog, _create_hook_manager())
    except RunStoppedError as error:
        print(error)
        return STOPPED
    return 0


@pytest.mark.parametrize("runner", RUNNERS)
def test_ctrl_c_once_ends_the_step_keeps_it_and_says_how_to_go_on(tmp_path, runner):
    terminal = begin(tmp_path, runner, waiting)
    terminal.press()
    assert not terminal.has_ended()
    (tmp_path / "go").touch()
    status, printed = terminal.end()
    assert status == STOPPED
    assert (tmp_path / "first").read_text() == "made"
    assert not (tmp_path / "second").exists()
    assert "stopped, as asked, after 1 of 2 steps; the same command with" in printed
    assert printed.count("Ctrl-C: stops when this step") == 1


@pytest.mark.parametrize("runner", RUNNERS)
def test_ctrl_c_twice_stops(tmp_path, runner):
    terminal = begin(tmp_path, runner, waiting)
    terminal.press()
    terminal.press()
    status, _ = terminal.end()
    assert status != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "printed", "raw"]


def test_processes_that_a_step_has_started_end_their_work_as_well(tmp_path):
    terminal = begin(tmp_path, KeepGoingRunner, with_workers)
    terminal.press()
    status, printed = terminal.end()
    assert status == STOPPED, printed
    assert (tmp_path / "first").read_text() == "made"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("times", "said"), [(1, "stopped, as asked, after"), (2, "stopped at once, as asked; what")]
)
def test_kedro_run_ends_as_shells_tell_of_ctrl_c_and_says_how_to_go_on(tmp_path, times, said):
    project = copy_project(tmp_path / "recycling")
    printed = project / "printed"
    with printed.open("w") as output:
        command = [sys.executable, "-m", "kedro", "run", "--pipelines", "ensembling"]
        process = subprocess.Popen(
            command, cwd=project, stdout=output, stderr=output, start_new_session=True
        )
    terminal = Terminal(process.pid, project)
    while "  1/" not in printed.read_text():
        assert process.poll() is None, printed.read_text()
        time.sleep(0.02)
    for _ in range(times):
        terminal.press()
    assert process.wait(120) == 130, printed.read_text()
    text = " ".join(printed.read_text().split())
    assert said in text
    assert "--only-missing-outputs goes on" in text
    assert "Traceback" not in text
