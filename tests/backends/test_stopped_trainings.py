"""A training whose loaders die or lack memory, or that Ctrl-C stops, goes on as if nothing was."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.tiny_trainings import train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError
from recycling.stopping import Stopped, stops_when_asked

pytest.importorskip("torch")

SETTINGS = {"epochs": 4, "workers": 2}


@pytest.fixture(scope="module")
def whole(pictures: LabeledImages, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of a training that nothing stopped."""
    return weights(train("mmpretrain", pictures, tmp_path_factory.mktemp("whole"), **SETTINGS))


def weights(checkpoint: object) -> str:
    facts = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    return str(facts["weights_sha256"])


def loaders() -> list[int]:
    """The processes that a training of this one has started."""
    return [process.pid for process in multiprocessing.active_children() if process.pid]


def after_epoch(work_dir: Path, act: Callable[[], None]) -> threading.Thread:
    """Do something when a training has kept its first epoch, and works on the next one."""

    def watch() -> None:
        while not ((work_dir / "state.pth").exists() and loaders()):
            time.sleep(0.002)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def end_one() -> None:
    os.kill(loaders()[0], signal.SIGKILL)


def leave_no_memory() -> None:
    for loader in loaders():
        resource.prlimit(loader, resource.RLIMIT_AS, (1 << 20, 1 << 20))


@pytest.mark.parametrize("fault", [end_one, leave_no_memory])
def test_a_loader_that_dies_or_lacks_memory_is_one_line_and_the_next_run_goes_on(
    fault: Callable[[], None], pictures: LabeledImages, whole: str, tmp_path: Path
) -> None:
    thread = after_epoch(tmp_path / "run", fault)
    with pytest.raises(BackendError) as caught:
        train("mmpretrain", pictures, tmp_path, **SETTINGS)
    thread.join()
    assert "\n" not in str(caught.value)
    assert "start again" in str(caught.value)
    assert (tmp_path / "run/state.pth").exists()
    assert weights(train("mmpretrain", pictures, tmp_path, **SETTINGS)) == whole


def test_ctrl_c_ends_the_epoch_and_the_next_run_goes_on(
    pictures: LabeledImages, whole: str, tmp_path: Path
) -> None:
    def press() -> None:
        """As a terminal does: to all processes."""
        for process in (*loaders(), os.getpid()):
            os.kill(process, signal.SIGINT)

    thread = after_epoch(tmp_path / "run", press)
    with pytest.raises(Stopped), stops_when_asked():
        train("mmpretrain", pictures, tmp_path, **SETTINGS)
    thread.join()
    assert (tmp_path / "run/state.pth").exists()
    assert not (tmp_path / "run/checkpoint").exists()
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert 1 <= len(lines) < SETTINGS["epochs"]
    assert weights(train("mmpretrain", pictures, tmp_path, **SETTINGS)) == whole
