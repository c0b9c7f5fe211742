"""A node that fails stops only what needs it."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner

from fingerprints.small_project import Project
from recycling.datasets import JsonDataset
from recycling.errors import message_for_user
from recycling.experiments import Runs
from recycling.plan.parameters import ParameterError
from recycling.runners import KeepGoingRunner, KeepGoingThreadRunner, NodesFailedError

RUNNERS = [KeepGoingRunner, KeepGoingThreadRunner]


def chains(*names: str, fails: dict[str, Callable[[], object]]) -> Pipeline:
    """Chains of three nodes, whose ends a last node joins; those of `fails` are made by it."""

    def step(name: str) -> Callable[[object], object]:
        return lambda value: fails[name]() if name in fails else {name: value}

    nodes = [
        node(step(f"{name}{number}"), "raw" if number == 1 else f"{name}{number - 1}.out",
             f"{name}{number}.out", name=f"{name}{number}")
        for name in names
        for number in (1, 2, 3)
    ]  # fmt: skip
    ends = [f"{name}3.out" for name in names]
    return Pipeline([*nodes, node(lambda *values: {"ends": values}, ends, "joined", name="join")])


def catalog_in(folder: Path, pipeline: Pipeline) -> DataCatalog:
    """Every dataset is a JSON file of its name."""
    (folder / "raw.json").write_text('{"raw": 1}')
    return DataCatalog(
        {name: JsonDataset(filepath=folder / f"{name}.json") for name in pipeline.datasets()}
    )


def refuse() -> None:
    raise ParameterError("conf/models.yml: b: no such recipe; name another")


@pytest.mark.parametrize("runner", RUNNERS)
def test_what_does_not_need_a_failed_node_is_done(tmp_path, runner):
    pipeline = chains("a", "b", "c", fails={"b2": refuse})
    with pytest.raises(NodesFailedError) as raised:
        runner().run(pipeline, catalog_in(tmp_path, pipeline), _create_hook_manager())
    assert raised.value.failed == {"b2": "conf/models.yml: b: no such recipe; name another"}
    assert raised.value.skipped == ("b3", "join")
    made = {path.name.removesuffix(".out.json") for path in tmp_path.glob("*.out.json")}
    assert made == {"a1", "a2", "a3", "b1", "c1", "c2", "c3"}
    assert message_for_user(raised.value) == (
        "conf/models.yml: b: no such recipe; name another (b2 failed, 2 that need what failed were "
        "skipped)"
    )


@pytest.mark.parametrize("runner", RUNNERS)
def test_every_failure_is_said_at_once_and_named_in_the_end(tmp_path, runner, caplog):
    pipeline = chains("a", "b", "c", fails={"a1": refuse, "c3": lambda: 1 / 0})
    with pytest.raises(
        NodesFailedError, match="^2 steps failed, 3 that need what failed"
    ) as raised:
        runner().run(pipeline, catalog_in(tmp_path, pipeline), _create_hook_manager())
    assert set(raised.value.failed) == {"a1", "c3"}
    assert raised.value.skipped == ("a2", "a3", "join")
    own = [record for record in caplog.records if record.name.startswith("recycling.")]
    said = {record.args[0]: record for record in own if record.levelno == logging.ERROR}
    assert set(said) == {"a1", "c3"}
    assert said["a1"].exc_info is None  # meant for the user
    assert said["c3"].exc_info is not None  # a fault of the program: where it is has to be seen


@pytest.mark.parametrize("runner", RUNNERS)
def test_what_several_nodes_fail_for_is_said_once_in_the_end(tmp_path, runner):
    pipeline = chains("a", "b", "c", fails={"a2": refuse, "b2": refuse, "c3": lambda: 1 / 0})
    with pytest.raises(NodesFailedError) as raised:
        runner().run(pipeline, catalog_in(tmp_path, pipeline), _create_hook_manager())
    of_both, of_one = sorted(raised.value.reasons)
    assert set(of_both.split(": ")[0].split(", ")) == {"a2", "b2"}
    assert of_one.startswith("c3: ")
    assert str(raised.value).count("no such recipe") == 1


def test_an_old_output_of_a_failed_node_is_not_taken_for_a_new_one(tmp_path):
    whole = chains("a", fails={})
    KeepGoingRunner().run(whole, catalog_in(tmp_path, whole), _create_hook_manager())
    before = (tmp_path / "joined.json").read_bytes()
    pipeline = chains("a", fails={"a1": refuse})
    with pytest.raises(NodesFailedError):
        KeepGoingRunner().run(pipeline, catalog_in(tmp_path, pipeline), _create_hook_manager())
    assert (tmp_path / "a1.out.json").exists()
    assert (tmp_path / "joined.json").read_bytes() == before


def test_a_full_disk_stops_the_run_at_once(tmp_path):
    def no_room() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "a.json")

    pipeline = chains("a", "b", fails={"a1": no_room})
    with pytest.raises(OSError, match="No space left"):
        KeepGoingRunner().run(pipeline, catalog_in(tmp_path, pipeline), _create_hook_manager())
    assert list(tmp_path.glob("*.out.json")) == []


@pytest.mark.parametrize("runner", RUNNERS)
def test_hooks_hear_once_of_whatever_fails_in_a_node(tmp_path, runner):
    """Also of an input that cannot be loaded and of an output that cannot be saved."""
    heard = []

    class Listener:
        @hook_impl
        def on_node_error(self, node, error):
            heard.append(node.name)

    manager = _create_hook_manager()
    manager.register(Listener())
    pipeline = chains("a", "b", "c", fails={"a1": refuse, "b1": object})
    catalog = catalog_in(tmp_path, pipeline)
    catalog["c2.out"] = JsonDataset(filepath=tmp_path / "a-file" / "c2.json")
    (tmp_path / "a-file").write_text("")
    with pytest.raises(NodesFailedError):
        runner().run(pipeline, catalog, manager)
    assert sorted(heard) == ["a1", "b1", "c2"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_where_nothing_fails_the_outputs_are_those_of_kedros_runner(tmp_path, runner):
    pipeline = chains("a", "b", "c", fails={})
    outputs = []
    for number, own in enumerate((SequentialRunner, runner)):
        folder = tmp_path / str(number)
        folder.mkdir()
        own().run(pipeline, catalog_in(folder, pipeline), _create_hook_manager())
        outputs.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) == 11


def test_the_manifest_says_what_failed_and_what_was_skipped_and_the_next_run_makes_it(tmp_path):
    project = Project(tmp_path)
    project.fails = True
    with pytest.raises(NodesFailedError):
        project.run(manifests=True, runner=KeepGoingRunner())
    (run,) = Runs(project.runs).all().values()
    assert run.state == "failed"
    assert run.failed == {"fuse": "ValueError: boxes.csv: no such image; remove it"}
    assert run.skipped == ("submit",)
    project.fails = False
    assert project.run(manifests=True, runner=KeepGoingRunner()) == ["fuse", "submit"]
    newest = Runs(project.runs).find("latest")
    assert (newest.state, newest.failed, newest.skipped) == ("completed", {}, ())


def test_the_manifest_of_a_run_that_knew_of_nothing_skipped_can_be_read(tmp_path):
    project = Project(tmp_path)
    project.run(manifests=True)
    (path,) = project.runs.glob("*/manifest.json")
    facts = json.loads(path.read_text())
    del facts["failed"], facts["skipped"]
    path.write_text(json.dumps(facts))
    (run,) = Runs(project.runs).all().values()
    assert (run.state, run.failed, run.skipped) == ("completed", {}, ())
