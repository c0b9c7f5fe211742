"""Files and folders are whole or not there, however a process ends."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from recycling import files
from recycling.files import (
    COMPLETE,
    growing_folder,
    new_file,
    new_folder,
    upload,
    write_bytes,
    write_json,
    write_text,
)


def test_a_file_is_made_with_its_folders_and_nothing_else(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "naïve\r\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "naïve\r\n".encode()
    assert names(tmp_path / "new") == ["a.txt"]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    write_bytes(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_what_was_there_stays_where_the_new_is_not_finished(tmp_path, stop):
    write_text(tmp_path / "file", "old")
    write_tree(tmp_path / "folder", "old")

    def stop_halfway(path: Path) -> None:
        path.write_text("half")
        raise stop

    with pytest.raises(stop), new_file(tmp_path / "file") as unfinished:
        stop_halfway(unfinished)
    with pytest.raises(stop), new_folder(tmp_path / "folder") as unfinished:
        stop_halfway(unfinished / "a")
    assert (tmp_path / "file").read_text() == "old"
    assert tree(tmp_path / "folder") == {"a": "old", "deep/b": "old"}
    assert names(tmp_path) == ["file", "folder"]


def test_json_that_cannot_be_written_leaves_what_was_there(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1, 2]})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    1,\n    2\n  ]\n}\n'
    assert names(tmp_path) == ["a.json"]


def test_a_new_folder_holds_nothing_of_the_old_one(tmp_path):
    write_tree(tmp_path / "folder", "old")
    with new_folder(tmp_path / "folder") as unfinished:
        (unfinished / "c").write_text("new")
    assert tree(tmp_path / "folder") == {"c": "new"}
    assert names(tmp_path) == ["folder"]


def test_a_folder_takes_the_place_of_a_file(tmp_path):
    write_text(tmp_path / "a", "old")
    write_tree(tmp_path / "a", "new")
    assert tree(tmp_path / "a") == {"a": "new", "deep/b": "new"}


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path):
    write_tree(tmp_path / "a", "old")
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path / "a", "new")
    assert tree(tmp_path / "a") == {"a": "old", "deep/b": "old"}
    assert names(tmp_path) == ["a"]


def test_a_link_is_followed(tmp_path):
    for name in ("elsewhere", "here"):
        (tmp_path / name).mkdir()
    write_text(tmp_path / "elsewhere/file", "old")
    write_tree(tmp_path / "elsewhere/folder", "old")
    for name in ("file", "folder"):
        (tmp_path / "here" / name).symlink_to(tmp_path / "elsewhere" / name)
    write_text(tmp_path / "here/file", "new")
    write_tree(tmp_path / "here/folder", "new")
    assert all((tmp_path / "here" / name).is_symlink() for name in ("file", "folder"))
    assert (tmp_path / "elsewhere/file").read_text() == "new"
    assert tree(tmp_path / "elsewhere/folder") == {"a": "new", "deep/b": "new"}


def test_an_unfinished_file_is_not_found_by_its_ending(tmp_path):
    with new_file(tmp_path / "a.csv") as unfinished:
        assert list(tmp_path.glob("*.csv")) == []
        assert unfinished.parent == tmp_path
        assert unfinished.name.startswith(".")


def test_writers_at_the_same_time_do_not_meet(tmp_path):
    """Each of many threads writes the same file and folder; one whole value of them stays."""
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        for _ in range(10):
            write_text(tmp_path / "file", str(number) * 10_000)
            write_tree(tmp_path / "folder", str(number))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert len(set((tmp_path / "file").read_text())) == 1
    assert len((tmp_path / "file").read_text()) == 10_000
    values = tree(tmp_path / "folder")
    assert sorted(values) == ["a", "deep/b"]
    assert len(set(values.values())) == 1
    assert names(tmp_path) == ["file", "folder"]


def test_there_is_no_moment_without_the_old_or_the_new_folder(tmp_path):
    write_tree(tmp_path / "folder", "0")
    looking = os.fork()
    if looking == 0:
        while (tmp_path / "folder").exists():
            pass
        os._exit(1)
    for number in range(50):
        write_tree(tmp_path / "folder", str(number))
    os.kill(looking, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(looking, 0)[1]) == -signal.SIGKILL


def test_leftovers_of_a_killed_process_are_removed_by_the_next_write(tmp_path):
    killed(lambda: write_and_wait(tmp_path / "file", new_file))
    killed(lambda: write_and_wait(tmp_path / "folder", new_folder))
    assert len(names(tmp_path)) == 2
    write_text(tmp_path / "file", "new")
    write_tree(tmp_path / "folder", "new")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_what_another_process_is_writing_is_left_alone(tmp_path, new):
    """A second writer of the same place ends first; then the first one takes the place."""
    begun, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with new(tmp_path / "a") as unfinished:
            os.write(begun[1], b".")
            os.read(go[0], 1)
            (unfinished / "b" if unfinished.is_dir() else unfinished).write_text("first")
        os._exit(0)
    os.read(begun[0], 1)
    with new(tmp_path / "a") as unfinished:
        (unfinished / "b" if unfinished.is_dir() else unfinished).write_text("second")
    os.write(go[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    path = tmp_path / "a" / "b" if new is new_folder else tmp_path / "a"
    assert path.read_text() == "first"
    assert names(tmp_path) == ["a"]


def test_leftovers_of_other_files_are_not_touched(tmp_path):
    killed(lambda: write_and_wait(tmp_path / "other", new_file))
    (tmp_path / ".a.mine").write_text("")
    (tmp_path / "a.0123456789abcdef.unfinished").write_text("")
    before = names(tmp_path)
    write_text(tmp_path / "a", "new")
    assert names(tmp_path) == sorted([*before, "a"])


@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_is_elsewhere_is_replaced_and_nothing_else_is_left(tmp_path, name):
    system = MemoryFileSystem()
    for text in ("old", "new"):
        write_text(tmp_path / text / "file", text)
        write_tree(tmp_path / text / "folder", text)
        upload(tmp_path / text / name, system, f"/recycling-files/{name}")
    found = {path: system.cat_file(path) for path in system.find("/recycling-files")}
    system.rm("/recycling-files", recursive=True)
    inside = {"file": ["file"], "folder": ["folder/a", "folder/deep/b"]}[name]
    if name == "folder":
        held = json.loads(found.pop(f"/recycling-files/folder/{COMPLETE}"))
        assert held == dict.fromkeys(["a", "deep/b"], hashlib.sha256(b"new").hexdigest())
    assert found == {f"/recycling-files/{path}": b"new" for path in inside}


@pytest.mark.parametrize("name", ["file", "folder"])
def test_an_upload_that_is_cut_off_leaves_what_was_there(tmp_path, name):
    class CutOff(MemoryFileSystem):
        cachable = False

        def put_file(self, local, path, *arguments, **options):
            super().put_file(local, path, *arguments, **options)
            raise ConnectionError("cut off")

    write_text(tmp_path / "file", "new")
    write_tree(tmp_path / "folder", "new")
    system = CutOff()
    system.pipe_file(f"/recycling-files/{name}", b"old")
    with pytest.raises(ConnectionError):
        upload(tmp_path / name, system, f"/recycling-files/{name}")
    found = {path: system.cat_file(path) for path in system.find("/recycling-files")}
    system.rm("/recycling-files", recursive=True)
    assert found == {f"/recycling-files/{name}": b"old"}


class TestWithoutAnExchange:
    """Where the system cannot exchange two folders in one step."""

    @pytest.fixture(autouse=True)
    def without(self, monkeypatch):
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)

    def test_a_folder_is_replaced(self, tmp_path):
        write_tree(tmp_path / "folder", "old")
        write_tree(tmp_path / "folder", "new")
        assert tree(tmp_path / "folder") == {"a": "new", "deep/b": "new"}
        assert names(tmp_path) == ["folder"]

    def test_the_old_folder_comes_back_where_the_new_one_cannot_take_its_place(
        self, tmp_path, monkeypatch
    ):
        write_tree(tmp_path / "folder", "old")
        rename = Path.rename

        def full(self, target):
            if self.name.endswith(".unfinished") and not Path(target).exists():
                raise OSError(errno.ENOSPC, "No space left on device")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", full)
        with pytest.raises(OSError, match="No space"):
            write_tree(tmp_path / "folder", "new")
        assert tree(tmp_path / "folder") == {"a": "old", "deep/b": "old"}
        assert names(tmp_path) == ["folder"]

    def test_what_a_kill_has_left_without_its_name_is_put_back_by_the_next_write(self, tmp_path):
        write_tree(tmp_path / "folder", "old")

        def die_between() -> None:
            rename = Path.rename

            def renamed(self, target):
                if self.name.endswith(".unfinished") and not Path(target).exists():
                    os.kill(os.getpid(), signal.SIGKILL)
                return rename(self, target)

            Path.rename = renamed
            write_tree(tmp_path / "folder", "new")

        killed(die_between)
        assert not (tmp_path / "folder").exists()
        with pytest.raises(ValueError, match="stop"), new_folder(tmp_path / "folder"):
            raise ValueError("stop")
        assert tree(tmp_path / "folder") == {"a": "old", "deep/b": "old"}
        assert names(tmp_path) == ["folder"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_tree(folder: Path, text: str) -> None:
    with new_folder(folder) as unfinished:
        (unfinished / "a").write_text(text)
        (unfinished / "deep").mkdir()
        (unfinished / "deep" / "b").write_text(text)


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_and_wait(path: Path, new) -> None:
    with new(path):
        os.kill(os.getpid(), signal.SIGKILL)


def killed(act) -> None:
    """Do something in a process that is killed while it does."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_folder_that_grows_is_kept_when_its_writer_stops_and_appears_when_it_is_whole(tmp_path):

    def stop(growing: Path) -> None:
        write_text(growing / "first", "1")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), growing_folder(tmp_path / "a") as growing:
        stop(growing)
    assert names(tmp_path) == [".a.growing"]
    with growing_folder(tmp_path / "a") as growing:
        assert tree(growing) == {"first": "1"}
        write_text(growing / "second", "2")
        assert not (tmp_path / "a").exists()
    assert names(tmp_path) == ["a"]
    with growing_folder(tmp_path / "a") as growing:
        assert growing is None
    assert tree(tmp_path / "a") == {"first": "1", "second": "2"}
    assert names(tmp_path) == ["a"]


def test_those_that_want_to_fill_a_folder_wait_for_one_another(tmp_path):
    """In many rounds: the folder may get its name between any two steps of another thread."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for number in range(50):
            folder = tmp_path / str(number)
            barrier = threading.Barrier(6)
            filled: list[int] = []

            def fill(number: int, folder=folder, barrier=barrier, filled=filled) -> None:
                barrier.wait()
                with growing_folder(folder / "a") as growing:
                    if growing is not None:
                        filled.append(number)
                        write_text(growing / "file", str(number))

            with ThreadPoolExecutor(6) as threads:
                list(threads.map(fill, range(6)))
            assert len(filled) == 1
            assert tree(folder / "a") == {"file": str(filled[0])}
            assert names(folder) == ["a"]
    finally:
        sys.setswitchinterval(interval)
