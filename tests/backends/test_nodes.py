"""One training on two nodes: launches of torchrun on this machine that meet, with gloo."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backends import joining
from backends.tiny_trainings import epochs_of, model_of, plain, weights_of
from recycling import mirrors
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.backends.mmengine_backend import devices, session
from recycling.backends.mmengine_backend.devices import join
from recycling.backends.mmengine_backend.nodes import (
    all_are_there,
    end_starts,
    give_back,
    meetings_in,
    new_start,
    open_meeting,
    take_number,
)
from recycling.backends.mmengine_backend.worker import check_node
from recycling.backends.shared.resume import identity_of
from recycling.mirrors import Mirror
from recycling.stopping import Stopped, ask_to_stop, is_asked_to_stop

torch = pytest.importorskip("torch")

TWO_OF_TWO: dict[str, Any] = {"batch_size": 8, "devices": {"nodes": 2, "per_node": 2}}


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    yield
    ask_to_stop(False)


@contextmanager
def another_node(runs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that joins the trainings in a folder."""
    with subprocess.Popen([sys.executable, joining.__file__, str(runs)]) as node:
        try:
            yield node
        finally:
            node.send_signal(signal.SIGINT)
    assert node.returncode in (0, -signal.SIGKILL)


def when(run: Path, there: str, act: Callable[[Path], object]) -> None:
    """Do something with a file as soon as a training's folder has it."""

    def wait() -> None:
        while not (found := list(run.glob(there))):
            time.sleep(0.01)
        act(found[0])

    Thread(target=wait, daemon=True).start()


def stop_when_met(node: subprocess.Popen[bytes], start: Path) -> None:
    while (start / "nodes.json").exists():
        time.sleep(0.01)
    node.send_signal(signal.SIGINT)


# Together ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_nodes_learn_what_one_process_learns_also_when_one_of_them_is_asked_to_stop(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    """The network has no batch normalisation: over processes that needs a GPU."""
    run = tmp_path / "four/run"
    with another_node(tmp_path) as node:
        when(run, "starts/*/1", lambda number: stop_when_met(node, number.parent))
        with pytest.raises(Stopped):
            plain(tmp_path / "four", pictures, **TWO_OF_TWO, epochs=3)
        assert node.wait(60) == 0
        assert is_asked_to_stop(), "the run stops, too"
        ask_to_stop(False)
    assert len(epochs_of(tmp_path / "four")) == 1
    with another_node(tmp_path):
        four = plain(tmp_path / "four", pictures, **TWO_OF_TWO, epochs=3)
    one = plain(tmp_path / "one", pictures, batch_size=8, epochs=3)
    losses = [[line["loss"] for line in epochs_of(tmp_path / name)] for name in ("one", "four")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    torch.testing.assert_close(weights_of(one), weights_of(four), rtol=1e-3, atol=1e-5)
    left = {path.name for path in run.iterdir()}
    assert not left & {"starts", "state.pth", "torchrun.log", "torchrun.node2.log"}


@pytest.mark.slow
def test_a_node_that_is_killed_ends_the_training_in_one_line_and_another_takes_its_place(
    pictures: LabeledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with another_node(tmp_path) as node:
        when(tmp_path / "run", "state.pth", lambda _: node.kill())
        lost = "run: another process of the training has ended, .*: it goes on after"
        with pytest.raises(BackendError, match=lost) as caught:
            plain(tmp_path, pictures, **TWO_OF_TWO, epochs=60)
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.glob("run/failed_*")), "no step of this process has failed"
    before = len(epochs_of(tmp_path))
    assert before < 60
    caplog.set_level("INFO")
    with another_node(tmp_path):
        plain(tmp_path, pictures, **TWO_OF_TWO, epochs=60)
    assert "run: goes on after its last whole epoch" in caplog.text
    assert [line["epoch"] for line in epochs_of(tmp_path)] == list(range(1, 61))


@pytest.mark.slow
def test_what_a_process_of_another_node_cannot_do_is_said_by_the_first(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    diverging = {"name": "SGD", "learning_rate": 1e30, "weight_decay": 0.0}
    with another_node(tmp_path), pytest.raises(BackendError, match="the loss is (nan|inf) at"):
        plain(tmp_path, pictures, **TWO_OF_TWO, optimizer=diverging)


def test_a_node_that_waits_for_others_stops_when_asked(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    """Also for one that has taken its number, and was killed before they met."""

    def joins_and_is_gone(file: Path) -> None:
        (file.parent / "1").touch()
        ask_to_stop()

    when(tmp_path / "run", "starts/*/nodes.json", joins_and_is_gone)
    with pytest.raises(Stopped):
        plain(tmp_path, pictures, **TWO_OF_TWO)
    assert not (tmp_path / "run/starts").exists()


def test_the_first_node_does_not_wait_for_one_that_has_failed(
    pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_FAILED_SECONDS", 0.1)
    when(
        tmp_path / "run",
        "starts/*/nodes.json",
        lambda file: devices.write_error(file.parent, "run: there is 1 GPU on b"),
    )
    with pytest.raises(BackendError, match="run: there is 1 GPU on b"):
        plain(tmp_path, pictures, **TWO_OF_TWO)


def test_a_node_leaves_a_training_whose_first_node_is_gone_and_another_may_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "_GONE_SECONDS", 0.1)
    start = new_start(tmp_path / "run")
    meeting = open_meeting(start, 2, 1, "gloo")  # nothing listens there
    assert take_number(start, meeting) == 1
    devices._take_part(start, meeting, 1)
    assert "run: its first node has ended" in caplog.text
    assert take_number(start, meeting) == 1
    all_are_there(start)
    assert meeting.goes_on(start)
    end_starts(tmp_path / "run")
    assert not meeting.goes_on(start)


def test_how_many_processes_there_are_makes_a_training_and_not_where_they_are() -> None:
    settings = [4, {"nodes": 2, "per_node": 2}, {"nodes": 2, "per_node": 4}]
    models = [model_of("mmpretrain", batch_size=8, devices=each) for each in settings]
    facts = [identity_of(model, [], {}, training_data="", start=None).facts for model in models]
    assert facts[0] == facts[1] != facts[2]
    assert facts[2]["devices"] == "8"


def test_of_a_folder_that_is_kept_at_an_address_nodes_see_nothing(
    pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Mirror("memory://runs")
    elsewhere.folder = tmp_path
    monkeypatch.setitem(mirrors._open, elsewhere.address, elsewhere)
    with pytest.raises(BackendError, match="run: is of this machine alone; let data in globals"):
        plain(tmp_path, pictures, **TWO_OF_TWO)
    with pytest.raises(BackendError, match="is of this machine alone"):
        join(tmp_path)


@pytest.mark.parametrize("other", ["path", "version", "library"])
def test_a_node_that_is_another_than_the_first_is_refused_in_one_line(
    other: str, tmp_path: Path
) -> None:
    versions = session.versions("mmpretrain")
    model = model_of("mmpretrain", **TWO_OF_TWO)
    job: Any = SimpleNamespace(name="run", model=model, work_dir=tmp_path, versions=versions)
    library = "nccl" if torch.cuda.is_available() else "gloo"
    check_node(job, tmp_path, library)
    elsewhere = tmp_path
    if other == "path":
        elsewhere, says = tmp_path / "there", f"run: is in {tmp_path}, and on .* in .*/there; let"
    elif other == "library":
        library = "gloo" if library == "nccl" else "nccl"
        says = f"run: its first node talks by {library}, and .* has (no GPU|GPUs); let all nodes"
    else:
        job.versions = {**versions, "mmcv": "1.7"}
        says = "run: mmcv is 1.7, and on .* 2.*; install the same on all nodes"
    with pytest.raises(BackendError, match=says) as caught:
        check_node(job, elsewhere, library)
    assert "\n" not in str(caught.value)


# How they meet -----------------------------------------------------------------------------------


def test_nodes_join_what_is_there_and_each_takes_a_number(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("gone", "lacks_two", "tuning/lacks_one")]
    gone, two, one = map(new_start, runs)
    open_meeting(gone, 2, 1, "gloo")  # its node was killed: nothing listens there
    first, second = open_meeting(two, 3, 1, "gloo"), open_meeting(one, 2, 1, "gloo")
    with (
        socket.create_server((first.address, first.port)),
        socket.create_server((second.address, second.port)),
    ):
        assert meetings_in(tmp_path) == [(one, second), (two, first)], "the fewest first"
        assert [take_number(two, first) for _ in range(3)] == [1, 2, None]
        assert meetings_in(tmp_path) == [(one, second)], "all are there"
        give_back(two, 1)
        assert take_number(two, first) == 1
    new_start(runs[1])
    assert take_number(two, first) is None, "it has begun anew"


def test_of_two_trainings_at_one_address_the_newest_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MASTER_PORT", str(server.getsockname()[1]))
        killed, new = new_start(tmp_path / "b"), new_start(tmp_path / "a")
        for start, seconds in ((killed, 1), (new, 2)):
            meeting = open_meeting(start, 2, 1, "gloo")
            os.utime(start / "nodes.json", (seconds, seconds))
        assert meetings_in(tmp_path) == [(new, meeting)]


def test_the_port_is_the_given_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "29501")
    meeting = open_meeting(tmp_path, 2, 1, "gloo")
    assert "--master-port=29501" in meeting.arguments(tmp_path, 0)
