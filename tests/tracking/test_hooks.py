"""What a run leaves is handed to the tracker of the parameters, once its manifest is written."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from fingerprints.small_project import Project
from recycling.configuration import ConfigLoader
from recycling.experiments import Runs
from recycling.hooks import TrackingHooks
from recycling.plan import ParameterError
from recycling.runners import KeepGoingRunner, RunStoppedError
from recycling.settings import CONFIG_LOADER_ARGS
from recycling.stopping import ask_to_stop
from recycling.tracking import TRACKERS, Entry, Tracking, TrackingError, read_tracking


@pytest.fixture
def kept(monkeypatch) -> list[Entry]:
    """What a tracker of a user's own was handed."""
    entries: list[Entry] = []

    class Notes(Tracking):
        """A list."""

        to: Literal["notes"] = "notes"
        full: bool = False

    def track(found: Iterable[Entry], settings: Notes, folder: Path) -> None:
        if settings.full:
            raise TrackingError("the list is full; make room")
        entries.extend(found)

    monkeypatch.setattr(TRACKERS, "_entries", dict(TRACKERS._entries))
    TRACKERS.register("notes", Notes)(track)
    return entries


def run(project: Project, **settings: Any) -> str:
    """Run, tracked; gives the run's id."""
    hooks = TrackingHooks(read_tracking({"to": "notes", **settings}))
    project.run(manifests=True, more_hooks=hooks)
    return list(Runs(project.runs).all())[-1]


def test_each_training_and_the_run_have_an_entry_of_their_own(kept, tmp_path):
    project = Project(tmp_path)
    study = project.models["b"].model_copy(update={"study": "losses"})
    project.models["b"] = study
    run_id = run(project)
    a, _, whole = kept
    assert [each.name for each in kept] == [
        f"cls.a.fold0-{run_id}", f"cls.b.fold0-{run_id}", run_id
    ]  # fmt: skip
    assert [each.group for each in kept] == [run_id, "losses", run_id]
    assert [each.kind for each in kept] == ["training", "training", "run"]
    assert a.tags == ("cls", "mmpretrain", "small")
    assert a.parameters["epochs"] == 12
    assert a.fingerprints["raw"].startswith("sha256 ")
    kept_file = a.gives["cls.a.fold0.checkpoint"] / "checkpoint.json"
    assert kept_file.is_relative_to(project.runs / run_id / "kept")
    assert whole.fingerprints["fused"].startswith("sha256 ")
    assert not any(each.failed for each in kept)


def test_what_is_up_to_date_is_not_tracked_again(kept, tmp_path):
    project = Project(tmp_path)
    run(project)
    project.models["a"] = project.models["a"].model_copy(update={"epochs": 3})
    run_id = run(project)
    assert [each.name for each in kept[3:]] == [f"cls.a.fold0-{run_id}", run_id]
    run(project)
    assert len(kept) == 5  # of a run that has made nothing there is nothing to tell


def test_a_run_that_fails_is_tracked_as_such_and_trainings_that_ended_well_are_not(kept, tmp_path):
    project = Project(tmp_path)
    project.fails = True
    with pytest.raises(ValueError, match="no such image"):
        run(project)
    assert [(each.kind, each.failed) for each in kept] == [
        ("training", False), ("training", False), ("run", True)
    ]  # fmt: skip


def test_a_run_that_ctrl_c_ends_is_tracked_as_such(kept, tmp_path):
    class Presses(TrackingHooks):
        @hook_impl
        def before_node_run(self, node: Node) -> None:
            ask_to_stop(node.name == "fuse")

    project = Project(tmp_path)
    hooks = Presses(read_tracking({"to": "notes"}))
    with pytest.raises(RunStoppedError):
        project.run(manifests=True, more_hooks=hooks, runner=KeepGoingRunner())
    assert [(each.kind, each.stopped) for each in kept] == [
        ("training", False), ("training", False), ("run", True)
    ]  # fmt: skip
    assert not any(each.failed for each in kept)


def test_a_tracker_that_fails_leaves_the_run_as_it_is(kept, tmp_path, caplog):
    project = Project(tmp_path)
    with caplog.at_level(logging.WARNING):
        run(project, full=True)
    assert "the list is full; make room" in caplog.text
    assert project.submitted()
    assert not kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wandb: online", "wandb: online is now written tracking: {to: wandb, mode: online}"),
        ("tracking: {to: wandb, modes: online}", "'wandb' takes no 'modes' (did you mean 'mode'?)"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_one_line_with_its_file(text, message, tmp_path):
    for env in ("base", "local"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    (tmp_path / "conf/base/globals.yml").write_text("data: data")
    (tmp_path / "conf/local/parameters_tracking.yml").write_text(text)
    config = ConfigLoader(str(tmp_path / "conf"), **CONFIG_LOADER_ARGS)
    context = SimpleNamespace(config_loader=config, project_path=tmp_path)
    with pytest.raises(ParameterError) as caught:
        TrackingHooks().after_context_created(context)
    assert "conf/local/parameters_tracking.yml: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
