"""Two runs at once in one checkout."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner

from forked import in_a_process
from recycling.datasets import TextDataset
from recycling.fingerprints import Locks
from recycling.hooks import UpToDateHooks

FORK = multiprocessing.get_context("fork")


def write_alone(folder: Path, mark: str) -> None:
    """Write an output in two steps, with a pause between: others would come in between."""
    for _ in range(5):
        locks = Locks(folder / ".made")
        locks.acquire({"fused": True})
        with (folder / "log").open("a") as log:
            log.write(f"{mark} begins\n")
            log.flush()
            time.sleep(0.01)
            log.write(f"{mark} ends\n")
        locks.release()
        time.sleep(0.001)


def test_two_processes_that_want_one_output_never_overlap(tmp_path):
    processes = [FORK.Process(target=write_alone, args=(tmp_path, mark)) for mark in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 20
    for begin, end in zip(lines[::2], lines[1::2], strict=True):
        assert re.fullmatch(r"\w begins", begin)
        assert end == f"{begin[0]} ends"


@pytest.fixture
def holder(tmp_path):
    """A process that holds an output, till it is killed."""
    holds, held = FORK.Pipe()

    def hold() -> None:
        Locks(tmp_path).acquire({"fused": True, "raw": False})
        held.send(None)
        time.sleep(60)

    process = FORK.Process(target=hold)
    process.start()
    holds.recv()
    yield process
    process.kill()
    process.join()


def test_a_run_says_once_what_it_waits_for_and_goes_on_when_the_other_is_killed(
    tmp_path, holder, caplog
):
    started = time.monotonic()
    killer = FORK.Process(target=lambda: (time.sleep(0.3), os.kill(holder.pid, signal.SIGKILL)))
    killer.start()
    locks = Locks(tmp_path)
    locks.acquire({"fused": False})
    assert time.monotonic() - started >= 0.3
    locks.release()
    killer.join()
    assert [record.getMessage() for record in caplog.records] == [
        f"waits for fused, which process {holder.pid} writes"
    ]


@pytest.mark.usefixtures("holder")
def test_what_is_only_read_is_shared(tmp_path, caplog):
    locks = Locks(tmp_path)
    locks.acquire({"raw": False, "submission": True})
    locks.release()
    assert caplog.text == ""


def test_outputs_are_unlocked_when_a_node_fails_and_when_it_has_saved(project):
    def free() -> bool:
        locks = Locks(project.made)
        names = [path.stem for path in project.made.glob("*.lock")]
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            locks.acquire(dict.fromkeys(names, True))
            os._exit(0)
        return bool(names) and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert free()
    project.fusion, project.fails = {"method": "wbf"}, True
    with pytest.raises(ValueError, match="no such image"):
        project.run()
    assert free()


def test_what_a_run_has_made_is_locked_until_it_has_kept_it(project):
    """Or another one, which was waiting, could replace it before."""

    locked, free = set(), set()

    class Looks:
        """The last of the hooks that are told of an output."""

        @hook_impl(trylast=True)
        def after_dataset_saved(self, dataset_name: str) -> None:
            if dataset_name.endswith(".part"):
                return  # in memory
            with (project.made / f"{dataset_name}.lock").open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    locked.add(dataset_name)
                else:
                    free.add(dataset_name)

    project.run(only_missing=False, manifests=True, more_hooks=Looks())
    assert not free
    assert locked >= {"fused", "submission", "cls.a.fold0.checkpoint"}


def test_a_node_takes_what_a_generator_of_its_own_run_has_made(tmp_path):
    def words() -> Iterator[str]:
        yield "first"
        yield "second"

    pipeline = Pipeline(
        [node(words, None, "words", name="words"), node(str.upper, "words", "loud", name="loud")]
    )
    files = {name: TextDataset(filepath=tmp_path / name) for name in ("words", "loud")}
    told = {"run_params": {}, "pipeline": pipeline, "catalog": DataCatalog(files)}

    def run() -> None:
        signal.alarm(20)  # it would wait for itself
        manager = _create_hook_manager()
        manager.register(UpToDateHooks(tmp_path / ".made"))
        manager.hook.before_pipeline_run(**told)
        SequentialRunner().run(pipeline, told["catalog"], manager)
        manager.hook.after_pipeline_run(**told, run_result={})

    assert in_a_process(run) == 0
    assert (tmp_path / "loud").read_text() == "SECOND"
