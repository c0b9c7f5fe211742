"""A disk, folder or file that fails a run: one line, old outputs whole, the next run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from kedro.framework.hooks import hook_impl

from fingerprints.small_project import Project, model
from recycling.errors import message_for_user
from recycling.runners import KeepGoingRunner

NOBODY = 65534
NOT_WRITTEN, KEPT = "could not be written", "what was there before is kept"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(_mount(disk, "size=256k"), check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _mount(disk: Path, options: str) -> list[str]:
    return ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]


def outputs(project: Project) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted((project.folder / "data").rglob("*"))
        if path.is_file() and ".made" not in path.parts
    }


def failure(project: Project) -> str:
    """The line that a user sees of a run that fails."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is, it has to be told
        project.run(runner=KeepGoingRunner())
    line = message_for_user(raised.value)
    assert line is not None
    assert "\n" not in line
    return line


def test_on_a_full_disk_old_outputs_are_whole_and_the_next_run_goes_on(small_disk):
    project = Project(small_disk)
    project.run()
    before = outputs(project)
    project.fusion = {"method": "wbf", "note": "x" * 400_000}
    line = failure(project)
    assert (
        "fused.json: could not be written: No space left on device; what was there before is kept"
        in line
    )
    assert outputs(project) == before
    assert not list(small_disk.rglob("*.unfinished"))
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert project.run(runner=KeepGoingRunner()) == ["fuse", "submit"]
    assert project.submitted()["method"] == "wbf"


def test_on_a_disk_that_turns_read_only_old_outputs_are_whole_and_the_next_run_goes_on(small_disk):
    project = Project(small_disk)
    project.run()
    before = outputs(project)
    project.fusion = {"method": "wbf"}
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    line = failure(project)
    assert (
        "fused.json: could not be written: Read-only file system; what was there before is kept"
        in line
    )
    assert outputs(project) == before
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert project.run(runner=KeepGoingRunner()) == ["fuse", "submit"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may be another user")
def test_a_folder_that_may_not_be_written_to_is_one_line():
    """By a user who is not root, as root may write everywhere."""

    def fails(folder: Path) -> None:
        project = Project(folder)
        project.run()
        before = outputs(project)
        project.fusion = {"method": "wbf"}
        (folder / "data").chmod(0o555)
        line = failure(project)
        assert (
            "fused.json: could not be written: Permission denied; what was there before is kept"
            in line
        )
        assert outputs(project) == before
        (folder / "data").chmod(0o755)
        assert project.run(runner=KeepGoingRunner()) == ["fuse", "submit"]

    with TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        assert as_another_user(lambda: fails(Path(folder))) == 0


def as_another_user(act: Callable[[], None]) -> int:
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.setuid(NOBODY)
            act()
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.__stderr__, flush=True)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_two_runs_at_once_end_as_one(tmp_path):
    project = Project(tmp_path)
    project.run()
    project.models["a"] = model(epochs=13)
    project.fusion = {"method": "wbf"}
    children = []
    for _ in range(2):
        if (child := os.fork()) == 0:
            status = 1
            try:
                project.run(runner=KeepGoingRunner())
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ended == [0, 0]
    assert project.submitted()["method"] == "wbf"
    assert {state.kind for state in project.states().values()} == {"made"}
    assert project.run() == []
    assert not [path for path in tmp_path.rglob(".*") if path.suffix == ".unfinished"]


def test_what_was_made_of_a_file_that_changed_while_it_was_read_is_made_again(tmp_path):
    project = Project(tmp_path)

    class Editor:
        """Saves another version when the first one has been looked at, and before it is read."""

        has_saved = False

        @hook_impl(trylast=True)
        def before_node_run(self, node: object) -> None:
            if getattr(node, "name", "") == "own.read" and not self.has_saved:
                self.has_saved = True
                (project.members / "own.csv").write_text("2\n")

    project.run(runner=KeepGoingRunner(), more_hooks=Editor())
    assert project.states()["own.predictions"].kind == "stale"
    assert project.run(runner=KeepGoingRunner()) == ["read own", "fuse", "submit"]
    assert project.submitted()["members"][-1] == "{'rows': '2\\n'}"
    assert project.run() == []


def test_a_file_that_is_cut_off_while_it_is_read_is_one_line(tmp_path):
    project = Project(tmp_path)
    project.run()
    path = tmp_path / "data/a/p.json"
    whole = path.read_bytes()
    project.fusion = {"method": "wbf"}

    class Truncates:
        @hook_impl(trylast=True)
        def before_dataset_loaded(self, dataset_name: str) -> None:
            if dataset_name == "cls.a.fold0.predictions":
                path.write_bytes(whole[:-3])

    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is, it has to be told
        project.run(runner=KeepGoingRunner(), more_hooks=Truncates())
    line = message_for_user(raised.value)
    assert line is not None
    assert "p.json" in line
    assert json.loads((tmp_path / "data/fused.json").read_text())["method"] == "nms"
    assert project.run(runner=KeepGoingRunner()) == ["predict a", "fuse", "submit"]
