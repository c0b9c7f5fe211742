"""A run leaves a manifest while it goes, and keeps what a comparison reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, Version
from kedro.pipeline import Pipeline, node

from fingerprints.small_project import Project
from recycling.backends import Checkpoint
from recycling.datasets import CheckpointDataset, RunsDataset
from recycling.experiments import Runs
from recycling.hooks import ManifestHooks, UpToDateHooks
from recycling.runners.specs import WorkerSpecs


def test_a_run_says_what_it_ran_and_made(tmp_path):
    project = Project(tmp_path)
    project.run(manifests=True)
    (run,) = Runs(project.runs).all().values()
    assert (run.state, run.error) == ("completed", None)
    assert {node.name for node in run.nodes} == {
        "a.select", "a.train", "a.predict", "b.select", "b.train", "b.predict", "own.read",
        "fuse", "submit",
    }  # fmt: skip
    assert run.trainings["cls.a.fold0.checkpoint"]["model"]["recipe"] == "small"
    assert run.machine["cores"] == os.cpu_count()
    assert run.versions["python"] == sys.version.split()[0]
    folder = Runs(project.runs).folder(run.run_id)
    assert (folder.made / "fused.json").is_file()
    # What a later run writes does not alter what this one kept.
    kept = folder.kept / "cls.a.fold0.checkpoint/checkpoint/checkpoint.json"
    before = kept.read_text()
    Runs(project.runs).rename(run.run_id, "first")  # or its checkpoints would go with the next run
    project.models["a"] = project.models["a"].model_copy(update={"epochs": 3})
    project.run(manifests=True)
    assert kept.read_text() == before
    newest = Runs(project.runs).find("latest")
    assert newest.trainings["cls.a.fold0.checkpoint"]["model"]["epochs"] == 3
    assert newest.up_to_date == 3  # of b, and the member's file


def test_of_what_a_worker_has_made_its_version_is_kept_not_the_one_before(tmp_path):
    def catalog(version: str) -> DataCatalog:
        return DataCatalog(
            {
                "run_manifests": RunsDataset(filepath=tmp_path / "runs"),
                "checkpoint": CheckpointDataset(
                    filepath=tmp_path / "checkpoint", version=Version(None, version)
                ),
            }
        )

    def save(version: str) -> None:
        (folder := tmp_path / "trained").mkdir(exist_ok=True)
        (folder / "checkpoint.json").write_text(json.dumps({"model": version}))
        catalog(version)["checkpoint"].save(Checkpoint(folder))

    train = node(lambda: None, None, "checkpoint", name="train")
    led, manager = catalog("2026-02"), _create_hook_manager()
    manager.add_hookspecs(WorkerSpecs)
    manager.register(ManifestHooks(tmp_path / ".made", {}))
    manager.register(UpToDateHooks(tmp_path / ".made"))
    save("2026-01")
    manager.hook.before_pipeline_run(run_params={}, pipeline=Pipeline([train]), catalog=led)
    manager.hook.before_node_sent(node=train)
    save("2026-02")
    notes = {"content": {}, "manifest": {}}
    manager.hook.after_node_returned(node=train, notes=notes, error=None, worker="one")
    manager.hook.after_pipeline_run(
        run_params={}, run_result={}, pipeline=Pipeline([train]), catalog=led
    )
    run = Runs(tmp_path / "runs").find("latest")
    assert run.data_versions == {"checkpoint": "2026-02"}
    (kept,) = Runs(tmp_path / "runs").folder(run.run_id).kept.rglob("checkpoint.json")
    assert json.loads(kept.read_text())["model"] == "2026-02"


def test_a_run_that_fails_says_why_and_what_it_had_done(tmp_path):
    project = Project(tmp_path)
    project.fails = True
    with pytest.raises(ValueError, match="no such image"):
        project.run(manifests=True)
    (run,) = Runs(project.runs).all().values()
    assert run.state == "failed"
    assert run.error == "boxes.csv: no such image; remove it"
    assert "a.train" in {node.name for node in run.nodes}
    assert run.ended is not None


def test_a_run_that_is_killed_leaves_what_it_had_done(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from fingerprints.small_project import Project\n"
        "class Killer:\n"
        "    from kedro.framework.hooks import hook_impl\n"
        "    @hook_impl\n"
        "    def before_node_run(self, node):\n"
        "        if node.name == 'fuse':\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Project(Path({str(tmp_path)!r})).run(manifests=True, more_hooks=Killer())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[1], check=False
    )
    assert ended.returncode == -signal.SIGKILL
    (run,) = Runs(tmp_path / "data/08_reporting/runs").all().values()
    assert (run.state, run.ended) == ("killed", None)
    assert {node.name for node in run.nodes} >= {"a.train", "b.predict"}
    assert "submit" not in {node.name for node in run.nodes}
    told = json.loads(
        (tmp_path / "data/08_reporting/runs" / run.run_id / "manifest.json").read_text()
    )
    assert told["state"] == "running"
