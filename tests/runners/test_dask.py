"""Nodes on the workers of a Dask cluster: processes in folders of their own, on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from recycling.experiments import Runs
from recycling.fingerprints import Records
from runners.small_cluster import (
    EPOCHS,
    epochs,
    outputs,
    small_cluster,
    small_project,
    start,
    wait_until,
)

pytest.importorskip("distributed")

ON_DASK = ("--runner", "recycling.runners.DaskRunner")


def on(cluster, project: Path, **training: object) -> None:
    """Let a project run on a cluster."""
    own = {"dask": {"address": cluster.address}}
    if training:
        own["training"] = {"epochs": EPOCHS, "seconds": 0.2, **training}
    (project / "conf/local/parameters_own.yml").write_text(json.dumps(own))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the default runner makes."""
    project = small_project(tmp_path_factory.mktemp("sequential") / "project")
    status, printed = start(project).end()
    assert status == 0, printed
    return outputs(project)


def test_separate_processes_in_separate_folders_make_the_bytes_of_the_default_runner(
    tmp_path, expected
):
    project = small_project(tmp_path / "lead")
    with small_cluster(tmp_path / "cluster", project, "w1", "w2") as cluster:
        on(cluster, project)
        status, printed = start(project, *ON_DASK).end()
    assert status == 0, printed
    assert outputs(project) == expected
    (run,) = Runs(project / "data/manifests").all().values()
    assert run.state == "completed"
    assert sorted(node.name for node in run.nodes) == [
        "a.score", "a.select", "a.train", "b.score", "b.select", "b.train", "join",
    ]  # fmt: skip
    made = Records(project / "data/.made")
    assert made.names() == ["a.checkpoint", "a.score", "b.checkpoint", "b.score", "joined"]
    assert re.search(r"INFO w[12]: a.train begins", printed)
    assert "  7/7 join w" in printed
    # Nothing of the project is in the workers' folders, and all of it is up to date.
    for name in ("w1", "w2"):
        assert not list((tmp_path / "cluster" / name).rglob("*.json"))
    status, printed = start(project, "--only-missing-outputs").end()
    assert status == 0, printed
    assert "5 outputs are up to date" in printed
    assert epochs(project, "a") == list(range(EPOCHS))


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, EPOCHS - 1])
def test_a_node_whose_worker_is_killed_goes_on_elsewhere_from_its_last_epoch(
    tmp_path, expected, epoch
):
    project = small_project(tmp_path / "lead")
    with small_cluster(tmp_path / "cluster", project, "w1", "w2") as cluster:
        on(cluster, project)
        run = start(project, *ON_DASK)
        cluster.signal(run.wait_for_epoch("a", epoch), signal.SIGKILL)
        status, printed = run.end()
    assert status == 0, printed
    assert outputs(project) == expected
    trained = epochs(project, "a")
    assert sorted(set(trained)) == list(range(EPOCHS))
    assert len(trained) <= EPOCHS + 1  # the epoch that was under way


@pytest.mark.slow
def test_a_worker_that_was_only_thought_dead_saves_nothing_more(tmp_path, expected):
    project = small_project(tmp_path / "lead")
    ttl = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "15s"}
    with small_cluster(tmp_path / "cluster", project, "w1", "w2", **ttl) as cluster:
        on(cluster, project)
        run = start(project, *ON_DASK)
        paused = run.wait_for_epoch("a", 2)
        cluster.signal(paused, signal.SIGSTOP)
        wait_until(lambda: run.holder("a.train") != paused)
        state = project / "data/runs/a/state.json"
        wait_until(lambda: json.loads(state.read_text())["epoch"] == EPOCHS)
        cluster.signal(paused, signal.SIGCONT)
        wait_until(lambda: "saves nothing more" in cluster.log(paused))
        status, printed = run.end()
    assert status == 0, printed
    assert f"{paused} saves nothing more" in cluster.log(paused)
    assert outputs(project) == expected
    assert json.loads(state.read_text())["epoch"] == EPOCHS


@pytest.mark.slow
def test_a_run_whose_scheduler_has_ended_is_continued_by_any_runner(tmp_path, expected):
    project = small_project(tmp_path / "lead")
    with small_cluster(tmp_path / "cluster", project, "w1", "w2") as cluster:
        on(cluster, project)
        run = start(project, *ON_DASK)
        run.wait_for_epoch("a", 2)
        cluster.scheduler.kill()
        status, printed = run.end()
        assert status == 1, printed
        assert "the scheduler is gone; the same command with --only-missing-outputs" in printed
        status, printed = start(project, "--only-missing-outputs").end()
        assert status == 0, printed
    assert outputs(project) == expected
    assert len(epochs(project, "a")) <= EPOCHS + 2


@pytest.mark.slow
def test_what_does_not_need_a_failed_node_is_done_and_told_as_ever(tmp_path):
    project = small_project(tmp_path / "lead", training={"epochs": 1, "seconds": 0, "fails": True})
    told = []
    for runner in ((), ON_DASK):
        status, printed = start(project, *runner).end()
        assert status == 1
        told.append([line for line in printed.splitlines() if "is set; remove it" in line][-1])
        (run, *_) = reversed(Runs(project / "data/manifests").all().values())
        assert (run.state, sorted(run.failed), run.skipped) == (
            "failed", ["a.score", "b.score"], ("join",),
        )  # fmt: skip
    assert told[0] == told[1]


@pytest.mark.slow
def test_a_node_waits_for_a_worker_that_has_what_its_tags_ask_for(tmp_path):
    project = small_project(tmp_path / "lead")
    tags = {"TAGS": "gpu-1 memory-2GB"}
    with small_cluster(tmp_path / "cluster", project, "plain", **tags) as cluster:
        on(cluster, project)
        run = start(project, *ON_DASK, **tags)
        wait_until(lambda: "plain: b.select begins" in run.screen.read_text())
        cluster.add("rich", "--resources", "gpu=1 memory=4e9", **tags)
        status, printed = run.end()
    assert status == 0, printed
    assert "a.train: no worker has gpu: 1, memory: 2 GB; it waits for one" in printed
    assert run.holder("a.train") == run.holder("b.train") == "rich"


@pytest.mark.slow
def test_workers_that_cannot_run_nodes_are_refused_in_one_line(tmp_path):
    project = small_project(tmp_path / "lead")
    elsewhere = small_project(tmp_path / "elsewhere")
    with small_cluster(tmp_path / "cluster", project) as cluster:
        on(cluster, project)
        # Started in a clone that has data of its own.
        (cluster.folder / "clone").symlink_to(elsewhere)
        cluster.add("clone")
        status, printed = start(project, *ON_DASK).end()
        assert status == 1
        assert "Error: clone: " in printed
        assert "is not the folder of the run; let `data` in conf/base/globals.yml be" in printed
        cluster.signal("clone", signal.SIGKILL)
        cluster.add("threads", "--nthreads", "2")
        status, printed = start(project, *ON_DASK).end()
        assert status == 1
        assert "Error: threads: has 2 threads" in printed


@pytest.mark.slow
def test_workers_whose_code_has_changed_are_refused_till_they_are_started_again(tmp_path):
    project = small_project(tmp_path / "lead", training={"epochs": 1, "seconds": 0})
    code = project / "src/small/pipeline_registry.py"
    with small_cluster(tmp_path / "cluster", project, "before") as cluster:
        on(cluster, project, epochs=1, seconds=0)
        assert start(project, *ON_DASK).end()[0] == 0
        code.write_text(code.read_text().replace("% 1009", "% 1013"))
        status, printed = start(project, *ON_DASK).end()
        assert status == 1
        assert "Error: before: code has changed since the worker loaded it (pipeline_reg" in printed
        cluster.signal("before", signal.SIGKILL)
        cluster.add("after")
        status, printed = start(project, *ON_DASK).end()
    assert status == 0, printed


@pytest.mark.slow
def test_workers_started_in_clones_use_those_where_data_is_one_folder(tmp_path, expected):
    shared = small_project(tmp_path / "shared") / "data"
    clones = [small_project(tmp_path / name) for name in ("lead", "clone1", "clone2")]
    for clone in clones:
        (clone / "conf/base/globals.yml").write_text(f"data: {shared}")
    with small_cluster(tmp_path / "cluster", clones[0]) as cluster:
        on(cluster, clones[0])
        for clone in clones[1:]:
            (cluster.folder / clone.name).symlink_to(clone)
            cluster.add(clone.name)
        status, printed = start(clones[0], *ON_DASK).end()
    assert status == 0, printed
    assert outputs(shared.parent) == expected
    assert [outputs(clone) for clone in clones] == [{}, {}, {}]


@pytest.mark.slow
def test_ctrl_c_ends_the_epochs_under_way_on_the_workers(tmp_path, expected):
    project = small_project(tmp_path / "lead")
    with small_cluster(tmp_path / "cluster", project, "w1", "w2") as cluster:
        on(cluster, project)
        run = start(project, *ON_DASK)
        run.wait_for_epoch("a", 1)
        os.killpg(run.process.pid, signal.SIGINT)
        status, printed = run.end()
    assert status == 130, printed
    assert "stopped, as asked" in printed
    assert len(epochs(project, "a")) < EPOCHS
    status, printed = start(project, "--only-missing-outputs").end()
    assert status == 0, printed
    assert outputs(project) == expected
    assert epochs(project, "a") == list(range(EPOCHS))


@pytest.mark.slow
def test_a_node_that_a_later_run_has_made_meanwhile_is_made_by_the_earlier_one_too(tmp_path):
    project = small_project(tmp_path / "lead")
    with small_cluster(tmp_path / "cluster", project, "w1", "w2", "w3") as cluster:
        on(cluster, project)
        assert start(project, *ON_DASK).end()[0] == 0
        on(cluster, project, epochs=EPOCHS + 2, seconds=6)
        earlier = start(project, *ON_DASK)
        earlier.wait_for_epoch("a", EPOCHS + 1)
        status, printed = start(project, *ON_DASK, "--nodes", "join").end()
        assert status == 0, printed
        assert earlier.process.poll() is None
        status, printed = earlier.end()
    assert status == 0, printed


@pytest.mark.slow
def test_each_of_two_runs_on_a_cluster_shows_its_own_lines_and_all_of_them(tmp_path):
    projects = [small_project(tmp_path / name) for name in ("one", "other")]
    with small_cluster(tmp_path / "cluster", projects[0], "w1", "w2", "w3") as cluster:
        runs = []
        for project in projects:
            on(cluster, project, seconds=1)
            runs.append(start(project, *ON_DASK))
            runs[-1].wait_for_epoch("a", 1)
        ended = [run.end() for run in runs]
    for status, printed in ended:
        assert status == 0, printed
        begun = re.findall(r"INFO w\d: (\S+) begins", printed)
        assert sorted(begun) == sorted(
            ["a.score", "a.select", "a.train", "b.score", "b.select", "b.train", "join"]
        )


@pytest.mark.slow
@pytest.mark.parametrize("presses", [0, 2])
def test_a_run_leaves_nothing_of_its_catalog_on_the_cluster_however_it_ends(tmp_path, presses):
    from distributed import Client

    project = small_project(tmp_path / "lead")
    with small_cluster(tmp_path / "cluster", project, "w1", "w2") as cluster:
        on(cluster, project)
        run = start(project, *ON_DASK)
        run.wait_for_epoch("a", 1)
        for _ in range(presses):
            os.killpg(run.process.pid, signal.SIGINT)
            time.sleep(0.2)
        run.end()
        with Client(scheduler_file=cluster.address) as client:
            left = client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.worker_plugins])
    assert not [name for name in left if name.startswith("recycling")]


@pytest.mark.slow
def test_ctrl_c_ends_a_run_whose_nodes_no_worker_has_begun(tmp_path):
    project = small_project(tmp_path / "lead")
    with small_cluster(tmp_path / "cluster", project) as cluster:
        on(cluster, project)
        run = start(project, *ON_DASK)
        wait_until(lambda: "has no workers yet" in run.screen.read_text())
        time.sleep(1)
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.process.wait(30) == 130
    assert "stopped, as asked, after 0 of 7 steps" in run.screen.read_text()


@pytest.mark.slow
def test_a_worker_that_joins_after_ctrl_c_begins_nothing(tmp_path):
    project = small_project(tmp_path / "lead")
    with small_cluster(tmp_path / "cluster", project, "w1") as cluster:
        on(cluster, project, seconds=10)
        run = start(project, *ON_DASK)
        wait_until(lambda: "train begins" in run.screen.read_text())
        os.killpg(run.process.pid, signal.SIGINT)
        cluster.add("w2")
        status, printed = run.end()
    assert status == 130, printed
    assert len(list((project / "data/runs").iterdir())) == 1
    assert "w2: " not in printed
