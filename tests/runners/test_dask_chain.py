"""The chain of the project on a cluster whose workers are killed, again and again."""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
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
    """Kill whoever is at every third point that the run comes to, till it has ended.

    Returns:
        The points: names of nodes, and of trainings with when they kept a state.
    """
    seen: dict[str, None] = {}
    killed: list[str] = []
    while run.process.poll() is None:
        time.sleep(0.05)
        for point, node in points(run):
            if point in seen:
                continue
            seen[point] = None
            holder = run.holder(node)
            if len(seen) % 3 == 0 and len(killed) < KILLS and holder in cluster.workers:
                cluster.signal(holder, signal.SIGKILL)
                cluster.add(f"again{len(killed)}")
                killed.append(point)
    return killed


def points(run: Run) -> list[tuple[str, str]]:
    """Nodes that have begun, and trainings that have kept a state, each with its node."""
    leases = (run.project / "data/.made/leases").glob("*.json")
    given = [path.stem for path in leases if not path.name.startswith("run ")]
    begun = [(node, node) for node in given if run.holder(node)]
    kept = []
    for path in (run.project / "data/06_models/runs").glob("*/state.pth"):
        with suppress(FileNotFoundError):  # its training has just ended
            training = path.parent.name
            kept.append((f"{training} {path.stat().st_mtime_ns}", f"{training}.train"))
    return [*kept, *begun]


@pytest.mark.slow
def test_workers_killed_at_twenty_points_leave_the_bytes_of_the_default_runner(tmp_path):
    alone = chain(tmp_path / "alone")
    status, _ = start(alone).end()
    expected = outputs(alone)
    assert len(expected) > 50
    project = chain(tmp_path / "lead")
    many = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(KILLS)}
    # A new worker takes a while to be of use.
    with small_cluster(tmp_path / "cluster", project, "w1", "w2", "w3", "w4", **many) as cluster:
        own = {"tracking": {"to": "none"}, "dask": {"address": cluster.address}}
        set_parameters(project, own)
        run = start(project, "--runner", "DaskRunner")
        killed = kill_again_and_again(run, cluster)
        again = run.end()
    assert len(killed) == KILLS, killed
    assert any(" " in point for point in killed)  # in the middle of a training
    assert again[0] == status, again[1]
    assert outputs(project) == expected
    (manifest,) = (project / "data/08_reporting/runs").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["state"] != "running"
