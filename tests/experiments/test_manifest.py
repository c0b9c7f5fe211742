"""The folder of runs: what is written, found, named, and who was killed."""

from __future__ import annotations

import pytest

from recycling.experiments import ExperimentError, Manifest, NodeRun, Runs, unlock


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
