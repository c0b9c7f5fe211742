"""The campaign that stops runs: what it finds, and that it would find what could go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from survive.events import DONE, NODE, STOPPED, WORKER, WRITES, Event, Stop, read_events, watch
from survive.mechanisms import MECHANISMS
from survive.outcome import faults, overlaps
from survive.points import draw
from survive.writers import faults_of_writers

from fingerprints.small_project import Project
from recycling.runners import KeepGoingRunner, RunStoppedError
from recycling.stopping import INTERRUPTED

ROOT = Path(__file__).parents[1]


def events() -> list[Event]:
    """Of two trainings, a search, and a node that writes nothing."""
    found, clock = [], 0.0
    for node in ("det.yolox.fold0.train", "seg.fcn.fold0.train", "cls.searched.search_ensemble",
                 "cls.searched.draw"):  # fmt: skip
        found.append(Event("begun", f"data/.made/begun/{node}", clock))
        found.append(Event(NODE, node, clock))
        for step in WRITES if not node.endswith("draw") else ():
            clock += 1
            file = "state.pth" if node.endswith("train") else "choice.json"
            found.append(Event(step, f"data/{node}/{file}", clock))
        found.append(Event(DONE, node, clock))
        found.append(Event("begun", "data/08_reporting/runs/*/manifest.json", clock))
    return found


def test_many_writers_leave_one_whole_value(tmp_path):
    assert faults_of_writers(tmp_path / "all") == []


@pytest.mark.parametrize("without", ["rename", "name"])
def test_without_the_rename_or_names_of_their_own_many_writers_do_not(tmp_path, without):
    assert faults_of_writers(tmp_path / without, without) != []


def test_points_are_at_every_step_of_a_write_with_every_signal():
    stops = draw(events(), 40, seed=0)
    assert len(stops) == 40
    assert {stop.kind for stop in stops} >= {*WRITES, NODE, WORKER}
    assert len({stop.signals for stop in stops}) == 4
    kinds = Counter((stop.kind, stop.name) for stop in stops if stop.kind in WRITES)
    files = {(kind, Path(name).name) for kind, name in kinds}
    assert len(files) >= 10  # five steps of two kinds of files, and records and manifests
    assert any(stop.kind == "kept" and stop.name.endswith("/state.pth") for stop in stops)
    lacking = {name for stop in stops for name in stop.lacks or ()}
    assert not any("draw" in name for name in lacking)  # nothing of it can be missing
    assert draw(events(), 40, seed=0) == stops
    assert draw(events(), 40, seed=1) != stops


def test_an_epoch_that_is_trained_again_and_leftovers_and_cut_off_files_are_found(tmp_path):
    (tmp_path / "data/07_model_output").mkdir(parents=True)
    (tmp_path / "data/07_model_output/metrics.json").write_text('{"score": 0.')
    (tmp_path / "data/.a.0123456789abcdef.unfinished").write_text("")
    (tmp_path / "data/06_models/runs/a").mkdir(parents=True)
    (tmp_path / "data/06_models/runs/a/metrics.json").write_text('{"loss": 1}\n{"loss": 2}\n')
    state = Event("named", "data/06_models/det/yolox/fold0/state.pth", 1.0)
    found = faults(tmp_path, {"07_model_output/test.parquet": ""}, [state], [state, state])
    assert found == [
        "07_model_output/metrics.json: should not be there",
        "07_model_output/test.parquet: is not there",
        "data/.a.0123456789abcdef.unfinished: was left behind",
        "data/07_model_output/metrics.json: is cut off",
        f"{state.name}: an epoch was trained again: 2 states instead of 1",
    ]


def test_two_runs_that_write_an_output_at_the_same_time_are_found():
    def run(begins: float, ends: float) -> list[Event]:
        return [Event(NODE, "a", begins), Event("begun", "a.csv", ends), Event(DONE, "a", ends)]

    assert overlaps([run(0.0, 2.0), run(2.5, 3.0)]) == []
    assert overlaps([run(0.0, 2.0), run(1.5, 3.0)]) == ["a: two runs ran it at the same time"]
    in_memory = [Event(NODE, "a", 1.5), Event(DONE, "a", 3.0)]
    assert overlaps([run(0.0, 2.0), in_memory]) == []


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a small run that is left alone makes."""
    project = Project(tmp_path_factory.mktemp("alone"))
    project.run()
    return made(project)


def stopped(project: Project, stop: Stop) -> int:
    """How a run ends that is stopped."""
    if (child := os.fork()) == 0:
        try:
            os.setsid()  # Ctrl-C goes to the whole group
            watch(project.folder, project.folder / "events", stop)
            project.run(runner=KeepGoingRunner(), manifests=True)
        except RunStoppedError:
            os._exit(INTERRUPTED)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(
    ("step", "number"),
    [*((step, signal.SIGKILL) for step in WRITES),
     ("written", signal.SIGTERM), ("written", signal.SIGINT)],
)  # fmt: skip
def test_a_small_run_stopped_in_a_write_ends_as_one_that_was_not(tmp_path, alone, step, number):
    project = Project(tmp_path / "stopped")
    ended = stopped(project, Stop(step, "data/fused.json", (number,)))
    assert ended == (INTERRUPTED if number == signal.SIGINT else -number)
    assert not (project.folder / "data/submission.csv").exists()
    ran = project.run(runner=KeepGoingRunner(), manifests=True)
    # Also what was written whole is made anew, where the run did not come to note what it was of.
    assert ran == (["submit"] if number == signal.SIGINT else ["fuse", "submit"])
    assert made(project) == alone
    assert not [path for path in project.folder.rglob(".*") if path.suffix == ".unfinished"]


@pytest.mark.parametrize("step", WRITES)
def test_what_a_run_that_was_killed_in_its_manifest_leaves_is_removed(tmp_path, alone, step):
    """Its folder is written to by no other run."""
    project = Project(tmp_path / "stopped")
    stop = Stop(step, "data/08_reporting/runs/*/manifest.json", (signal.SIGKILL,))
    assert stopped(project, stop) == -signal.SIGKILL
    project.run(runner=KeepGoingRunner(), manifests=True)
    assert made(project) == alone
    assert not [path for path in project.folder.rglob(".*") if path.suffix == ".unfinished"]
    assert [event.kind for event in read_events(project.folder / "events")][-1] == STOPPED


def made(project: Project) -> dict[str, bytes]:
    return {
        str(path.relative_to(project.folder)): path.read_bytes()
        for path in (project.folder / "data").rglob("*")
        if path.is_file() and not {".made", "08_reporting"} & {*path.parts}
    }


def campaign(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "survive", "--folder", str(folder), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_run_that_is_stopped_ends_as_one_that_was_not(tmp_path):
    ended = campaign(tmp_path, "--points", "5")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("as it was") == 5


@pytest.mark.slow
@pytest.mark.parametrize("without", MECHANISMS)
def test_with_a_mechanism_taken_out_the_campaign_fails(tmp_path, without):
    ended = campaign(tmp_path, "--points", "20", "--without", without)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ": bad" in ended.stdout or "many writers of one place: one whole" not in ended.stdout
