"""The order of writing, fsync and renaming, which no kill can test: memory outlives a process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recycling import files
from recycling.files import growing_folder, link, new_file, new_folder, write_bytes

Call = tuple[str, str, int]
"""What was called, on what, and how large that was: bytes, or names in a folder."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """The calls that put something on the disk or give it a name, as they are made."""
    made: list[Call] = []

    def note(call: str, path: str | Path) -> None:
        path = Path(path)
        size = len(list(path.iterdir())) if path.is_dir() else path.stat().st_size
        made.append((call, str(path), size))

    def noted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def noted_call(first: int | Path, *rest: object) -> object:
            is_open = isinstance(first, int)
            note(name, Path(f"/proc/self/fd/{first}").readlink() if is_open else first)
            return call(first, *rest)

        return noted_call

    for name in ("fsync", "rename", "replace"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    monkeypatch.setattr(files, "_exchange", noted("exchange", files._exchange))
    return made


@contextmanager
def hidden(calls: list[Call]) -> Iterator[Callable[[], list[Call]]]:
    """The calls of a block, with the random part of hidden names left out."""
    calls.clear()

    def seen() -> list[Call]:
        return [
            (call, ".".join(part for part in Path(path).name.split(".") if len(part) != 16), size)
            for call, path, size in calls
        ]

    yield seen


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_after_that(tmp_path, calls):
    with hidden(calls) as seen:
        write_bytes(tmp_path / "a", b"whole")
    folder = tmp_path.name
    assert seen() == [("fsync", ".a.unfinished", 5), ("replace", ".a.unfinished", 5),
                      ("fsync", folder, 1)]  # fmt: skip


def test_all_of_what_is_written_late_is_on_the_disk_too(tmp_path, calls):
    with hidden(calls) as seen, new_file(tmp_path / "a") as unfinished:
        with unfinished.open("wb") as file:
            file.write(b"1" * 100_000)
        with unfinished.open("ab") as file:
            file.write(b"2" * 100_000)
    assert seen()[0] == ("fsync", ".a.unfinished", 200_000)


@pytest.mark.parametrize("there_before", [False, True])
def test_all_in_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, calls, there_before):
    if there_before:
        write_bytes(tmp_path / "a/old", b"old")
    with hidden(calls) as seen, new_folder(tmp_path / "a") as unfinished:
        (unfinished / "deep").mkdir()
        (unfinished / "b").write_bytes(b"b")
        (unfinished / "deep/c").write_bytes(b"cc")
    made = seen()
    named = next(n for n, (call, *_) in enumerate(made) if call != "fsync")
    assert sorted(made[:named]) == [
        ("fsync", ".a.unfinished", 2), ("fsync", "b", 1), ("fsync", "c", 2), ("fsync", "deep", 1),
    ]  # fmt: skip
    # It is tried to rename it; what is in its place makes that an exchange.
    names = ["rename", "exchange"] if there_before else ["rename"]
    assert [call for call, *_ in made[named:-1]] == names
    assert made[-1][:2] == ("fsync", tmp_path.name)


def test_a_folder_that_grew_has_its_name_when_each_step_is_on_the_disk(tmp_path, calls):
    with hidden(calls) as seen, growing_folder(tmp_path / "a") as growing:
        assert growing is not None
        write_bytes(growing / "step", b"1")
    assert [(call, name) for call, name, _ in seen()] == [
        ("fsync", ".step.unfinished"), ("replace", ".step.unfinished"), ("fsync", ".a.growing"),
        ("fsync", ".a.growing"), ("rename", ".a.growing"), ("fsync", tmp_path.name),
    ]  # fmt: skip


def test_a_second_name_is_on_the_disk_as_well(tmp_path, calls):
    write_bytes(tmp_path / "a", b"whole")
    with hidden(calls) as seen:
        link(tmp_path / "a", tmp_path / "b")
    assert [(call, name) for call, name, _ in seen()] == [
        ("fsync", ".b.unfinished"), ("replace", ".b.unfinished"), ("fsync", tmp_path.name),
    ]  # fmt: skip
