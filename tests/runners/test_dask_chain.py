"""The chain of the project on a cluster whose workers are killed, again and again."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from survive.outcome import outputs

from clone import models_of, project_with_images, set_models, set_parameters
from runners.small_cluster import Run, SmallCluster, small_cluster, start

pytest.importorskip("distributed")

KILLS = 20
FEW = {"epochs": 6, "batch_size": 4, "image_size": 64}


def chain(folder: Path, **parameters: object) -> Path:
    """A classifier and a detector of six epochs, their students and ensembles."""
    project = project_with_images(folder)
    models = models_of(project)
    own = {name: {**models[name], **FEW} for name in ("resnet18", "yolox")}
    own["yolox"]["score_threshold"] = 0.0
    set_models(project, own, ensembles={"final": "all"})
    set_parameters(project, {"tracking": {"to": "none"}, **parameters})
    return project


def kill_again_and_again(run: Run, cluster: SmallCluster) -> list[str]:
    """Kill whoever begins a node that has not been killed, or has just kept a second epoch.

    Returns:
        The points: names of nodes, and of states with their epoch.
    """
    killed: list[str] = []
    while len(killed) < KILLS and run.process.poll() is None:
        for point, node in points(run.project):
            holder = run.holder(node)
            if point in killed or holder not in cluster.workers:
                continue
            cluster.signal(holder, signal.SIGKILL)
            cluster.add(f"w{len(killed) + 3}")
            killed.append(point)
            break
    return killed


def points(project: Path) -> list[tuple[str, str]]:
    """Nodes that are at work, and trainings that have kept a state, each with its node."""
    leases = (project / "data/.made/leases").glob("*.json")
    nodes = [path.stem for path in leases if not path.name.startswith("run ")]
    made = {path.stem for path in (project / "data/.made").glob("*.json")}
    working = [name for name in nodes if not any(out.startswith(name) for out in made)]
    states = (project / "data/06_models/runs").glob("*/state.pth")
    kept = [
        (f"{path.parent.name} state {path.stat().st_mtime_ns}", f"{path.parent.name}.train")
        for path in states
    ]
    return [*kept, *((name, name) for name in working)]


@pytest.mark.slow
def test_workers_killed_at_twenty_points_leave_the_bytes_of_the_default_runner(tmp_path):
    alone = chain(tmp_path / "alone")
    status, _ = start(alone).end()
    expected = outputs(alone)
    assert len(expected) > 50
    project = chain(tmp_path / "lead")
    many = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(KILLS)}
    with small_cluster(tmp_path / "cluster", project, "w1", "w2", **many) as cluster:
        own = {"tracking": {"to": "none"}, "dask": {"address": cluster.address}}
        set_parameters(project, own)
        run = start(project, "--runner", "DaskRunner")
        killed = kill_again_and_again(run, cluster)
        again = run.end()
    assert len(killed) == KILLS, killed
    assert any("state" in point for point in killed)
    assert again[0] == status, again[1]
    assert outputs(project) == expected
    (manifest,) = (project / "data/08_reporting/runs").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["state"] != "running"
