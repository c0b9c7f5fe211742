"""Folders of images elsewhere: each file has a placeholder here, and is fetched when it is read.

A placeholder has the name, size and time of its file, so that a folder can be listed, compared and
checked as if all of it were here. It holds nothing, which the permission to read it that it lacks
says. So many bytes of fetched files are kept as its folder allows; those that were fetched first
become placeholders again.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from recycling.addresses import files_below, system_of
from recycling.files import write_json
from recycling.mirrors import place_of

SOURCE = ".source"
"""The file of such a folder that says where its files are, and how many bytes are kept."""

_KEPT_SHARE = 0.8
"""Of the bytes allowed, once it is made room; processes share the rest."""

_STEP_SHARE = 0.05
"""Of the bytes allowed: so many a process fetches before it looks again whether there is room."""

_left: dict[Path, float] = {}
"""By folder, the bytes that this process may fetch before it makes room."""


@cache
def folder_of_placeholders(address: str, most_bytes: int) -> Path:
    """The folder here that stands for a folder of images elsewhere, listed once by each process.

    There is none where there is none elsewhere. A process that stays up lists anew for each run,
    which clears the cache.

    Args:
        address: The folder elsewhere.
        most_bytes: So many bytes of its files are kept here at most, or a little more where
            several processes fetch.

    Raises:
        OSError: It cannot be listed.
    """
    folder = place_of(address, "images")
    system, path = system_of(address)
    system.invalidate_cache()
    there = files_below(system, path)
    here = dict(_files_in(folder))
    for name, info in there.items():
        facts = here.pop(name, None)
        wanted = (info["size"], _nanoseconds(system, info))
        if facts is None or (facts.st_size, facts.st_mtime_ns) != wanted:
            _make(folder / name, *wanted)
    for name in here:
        (folder / name).unlink(missing_ok=True)
    if there:
        write_json(folder / SOURCE, {"address": address, "most_bytes": most_bytes})
    elif folder.exists():
        shutil.rmtree(folder)
    return folder


def is_placeholder(path: str | Path) -> bool:
    """Whether a file is a placeholder, whose content is elsewhere.

    >>> is_placeholder(__file__)
    False
    """
    try:
        return not os.stat(path).st_mode & stat.S_IRUSR  # noqa: PTH116 - hot path
    except (OSError, ValueError):
        return False


def read_bytes(path: Path) -> bytes:
    """The content of a file, fetched where it is a placeholder.

    Raises:
        OSError: It is not there, or cannot be fetched.
    """
    with suppress(PermissionError), path.open("rb") as file:
        # Of the file that is open: another process may just have made it a placeholder.
        if os.fstat(file.fileno()).st_mode & stat.S_IRUSR:
            return file.read()
    root = next((parent for parent in path.parents if (parent / SOURCE).exists()), None)
    return path.read_bytes() if root is None else _fetched(path, root)


def _fetched(path: Path, root: Path) -> bytes:
    source: dict[str, Any] = json.loads((root / SOURCE).read_bytes())
    system, folder = system_of(source["address"])
    facts = path.stat()
    content: bytes = system.cat_file(f"{folder}/{path.relative_to(root).as_posix()}")
    if len(content) != facts.st_size:
        raise OSError(f"{path}: has changed at {source['address']} since it was listed; run again")
    _make_room(root, source["most_bytes"], len(content))
    unfinished = _beside(path)
    unfinished.write_bytes(content)
    os.utime(unfinished, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    unfinished.replace(path)
    return content


def _make_room(root: Path, most_bytes: int, size: int) -> None:
    """Let go of what was fetched first, where there is no room for another file."""
    _left[root] = _left.get(root, 0) - size
    if _left[root] >= 0:
        return
    fetched = [(facts.st_ctime_ns, facts, name) for name, facts in _files_in(root)
               if facts.st_mode & stat.S_IRUSR]  # fmt: skip
    kept = sum(facts.st_size for _, facts, _ in fetched)
    for _, facts, name in sorted(fetched, key=lambda each: each[0]):
        if kept + size <= _KEPT_SHARE * most_bytes:
            break
        _make(root / name, facts.st_size, facts.st_mtime_ns)
        kept -= facts.st_size
    _left[root] = _STEP_SHARE * most_bytes


def _make(path: Path, size: int, nanoseconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _beside(path)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IWUSR)
    try:
        os.truncate(descriptor, size)  # takes no room on the disk
    finally:
        os.close(descriptor)
    os.utime(unfinished, ns=(nanoseconds, nanoseconds))
    unfinished.replace(path)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.unfinished")


def _files_in(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    for parent, _, files in os.walk(folder):
        for name in files:
            if not (name == SOURCE or name.endswith(".unfinished")):
                with suppress(FileNotFoundError):
                    path = Path(parent, name)
                    yield path.relative_to(folder).as_posix(), path.stat()


def _nanoseconds(system: Any, info: dict[str, Any]) -> int:
    """When a file elsewhere was written; 0 where its file system does not tell."""
    times = (info.get(key) for key in ("mtime", "LastModified", "created"))
    time = next((time for time in times if time is not None), 0)
    return int(getattr(time, "timestamp", lambda: time)() * 1e9)
