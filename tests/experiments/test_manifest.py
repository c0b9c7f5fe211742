"""The folder of runs: what is written, found, named, and who was killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from recycling.experiments import ExperimentError, Manifest, NodeRun, Runs, unlock
from recycling.files import new_file


def ended(run_id: str, **more: object) -> Manifest:
    started, end = "2026-11-29T01:00:00+00:00", "2026-11-29T01:30:00+00:00"
    return Manifest(run_id, {}, started, end, "completed", **more)


def test_what_was_written_is_read(tmp_path):
    runs = Runs(tmp_path)
    node = NodeRun("a.train", 1.5, ("a.checkpoint",), 512.0)
    run = ended("one", nodes=(node,), warnings=("odd",), commit="0123456789", changed=("a.py",))
    runs.folder("one").write(run)
    assert runs.all() == {"one": run}
    assert (run.minutes, run.memory_mb, run.is_clean) == (30.0, 512.0, False)


def test_a_run_without_an_end_whose_process_is_gone_was_killed(tmp_path):
    folder = Runs(tmp_path).folder("one")
    lock = folder.lock()
    folder.write(Manifest("one", {}, "2026-11-29T01:00:00+00:00"))
    assert folder.read().state == "running"
    unlock(lock)
    assert folder.read().state == "killed"
    assert folder.read().minutes is None


@pytest.mark.parametrize("name", ["manifest.json", "kept/cls/a.parquet"])
def test_what_a_killed_run_was_writing_is_gone_and_what_a_living_one_writes_stays(tmp_path, name):
    runs = Runs(tmp_path)
    for run_id in ("killed", "living"):
        lock = runs.folder(run_id).lock()
        runs.folder(run_id).write(Manifest(run_id, {}, "2026-11-29T01:00:00+00:00"))
        if run_id == "killed":
            unlock(lock)
    if (child := os.fork()) == 0:
        with new_file(tmp_path / "killed" / name):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with new_file(tmp_path / "living" / name):
        runs.clear()
        assert [path.parts[-len(Path(name).parts) - 1] for path in hidden(tmp_path)] == ["living"]
    unlock(lock)


def test_what_was_killed_as_it_wrote_its_first_manifest_is_cleared_too(tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first/.manifest.json.0123456789abcdef.unfinished").touch()
    Runs(tmp_path).clear()
    assert hidden(tmp_path) == []


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


def test_runs_are_found_by_name_beginning_and_from_the_newest_back(tmp_path):
    runs = Runs(tmp_path)
    for run_id in ("2026-11-28T10", "2026-11-28T11", "2026-11-29T09"):
        runs.folder(run_id).write(ended(run_id))
    runs.rename("2026-11-28T11", "baseline")
    assert runs.find("baseline").run_id == "2026-11-28T11"
    assert runs.find("latest").run_id == "2026-11-29T09"
    assert runs.find("latest~2").run_id == runs.find("2026-11-28T10").run_id == "2026-11-28T10"
    for asked, message in (
        ("2026-11-28", "2 runs '2026-11-28'; there are 2026-11-28T10, 2026-11-28T11"),
        ("latest~3", "no run 'latest~3'; there are 3"),
        ("nobody", "no run 'nobody'; there are 2026-11-29T09"),
    ):
        with pytest.raises(ExperimentError, match=message):
            runs.find(asked)
    with pytest.raises(ExperimentError, match="2026-11-28T11 is called 'baseline'"):
        runs.rename("latest", "baseline")


@pytest.mark.parametrize("content", ["", "{}", '{"format": 1, "nodes": 3}', "[]"])
def test_what_is_no_manifest_is_named(tmp_path, content):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/manifest.json").write_text(content)
    with pytest.raises(ExperimentError, match=r"one/manifest.json: not the manifest of a run"):
        Runs(tmp_path).all()


def test_without_a_run_the_command_that_makes_one_is_named(tmp_path):
    with pytest.raises(ExperimentError, match="kedro run makes one"):
        Runs(tmp_path).find("latest")
