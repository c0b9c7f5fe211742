"""Folders of this machine that mirror folders elsewhere.

Some folders are written into while a run goes: the records of outputs, manifests, states of
trainings. Where the data of a run are elsewhere, such a folder lies in the user's cache folder. It
is made like the one elsewhere when it is first asked for, and what has changed in it is sent there
after each node, and after each epoch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from threading import RLock
from typing import Any

from recycling.addresses import files_below, get_files, put_files, system_of
from recycling.errors import one_line
from recycling.files import write_json

CACHE = "RECYCLING_CACHE"
"""The environment variable that names another cache folder."""

NOT_SENT = ("*.lock", "*.unfinished", "*.replaced", ".known", "content.json", "leases/*")
"""What is of this machine alone."""

_open: dict[str, Mirror] = {}
_opening = RLock()


class MirrorError(OSError):
    """A folder elsewhere cannot be read or written: one line, which, and why."""


def cache_folder() -> Path:
    """Where copies of what is elsewhere are kept.

    >>> cache_folder().is_absolute()
    True
    """
    own = os.environ.get(CACHE)
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(own) if own else Path(base, "recycling", "elsewhere")


def place_of(address: str, kind: str = "data") -> Path:
    """The folder of this machine that stands for one elsewhere; nothing is fetched into it.

    Args:
        address: The folder elsewhere.
        kind: What is done with it: those of another kind are others.

    >>> place_of("s3://bucket/data").relative_to(cache_folder()).as_posix()
    'data/s3/bucket/data'
    """
    protocol, _, path = address.rstrip("/").partition("://")
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return cache_folder().joinpath(kind, protocol, *parts)


def mirror(address: str, not_sent: tuple[str, ...] = ()) -> Path:
    """A folder of this machine that mirrors one elsewhere; it is fetched once by each process.

    Args:
        address: The folder elsewhere, which need not be there.
        not_sent: Patterns of paths in it that stay here, beside `NOT_SENT`.

    Raises:
        MirrorError: It cannot be reached.
    """
    with _opening:
        if address not in _open:
            opened = Mirror(address, not_sent)
            opened.fetch()
            _open[address] = opened
    return _open[address].folder


def is_mirror(folder: Path) -> bool:
    """Whether a folder is one that this process sends elsewhere, or in one."""
    return any(folder.absolute().is_relative_to(each.folder) for each in list(_open.values()))


def send(inside: Path | None = None) -> None:
    """Send what has changed in the mirrors of this process.

    Args:
        inside: Only in the mirror that this folder is in.

    Raises:
        MirrorError: It cannot be sent.
    """
    for opened in list(_open.values()):
        if inside is None or inside.absolute().is_relative_to(opened.folder):
            opened.send()


class Mirror:
    """One folder, here and elsewhere.

    Args:
        address: Where it is.
        not_sent: As for `mirror`.
    """

    def __init__(self, address: str, not_sent: tuple[str, ...] = ()) -> None:
        self.address, self.folder = address, place_of(address)
        self._not_sent = (*NOT_SENT, *not_sent)
        self._system, self._path = system_of(address)
        self._lock = RLock()
        # By path: size and time there, and time here, when both were the same.
        self._known: dict[str, list[Any]] = {}

    def fetch(self) -> None:
        """Make the folder here like the one elsewhere.

        What this machine has changed or removed and not sent, as it was killed, stays so, and is
        sent the next time, unless another machine has gone on meanwhile.
        """
        with self._lock, _saying(self.address):
            with suppress(OSError, ValueError):
                self._known = json.loads((self.folder / ".known").read_bytes())
            there, here = self._there(), self._here()
            changed = [
                name for name, facts in there.items() if facts != self._known.get(name, [])[:2]
            ]
            get_files(self._system, self._path, changed, self.folder)
            for name, known in self._known.items():
                if name not in there and here.get(name) == known[2]:
                    (self.folder / name).unlink(missing_ok=True)
            here = self._here()
            self._known = {
                name: [*facts, here[name] if name in changed else self._known[name][2]]
                for name, facts in there.items()
            }
            self._remember()

    def send(self) -> None:
        """Make the folder elsewhere like the one here."""
        with self._lock, _saying(self.address):
            here = self._here()
            changed = [n for n, time in here.items() if time != self._known.get(n, [0, 0, 0])[2]]
            gone = [name for name in self._known if name not in here]
            if not changed and not gone:
                return
            for name in gone:  # first: a state must not lie beside what it does not belong to
                with suppress(FileNotFoundError):
                    self._system.rm_file(f"{self._path}/{name}")
                del self._known[name]
            try:
                put_files(self._system, self.folder, changed, self._path)
            except FileNotFoundError:
                if all((self.folder / name).exists() for name in changed):
                    raise
                return  # another thread has just removed one, and will send that
            for name in changed:
                info = self._system.info(f"{self._path}/{name}")
                self._known[name] = [info["size"], _time(info), here[name]]
            self._remember()

    def _there(self) -> dict[str, list[Any]]:
        found = files_below(self._system, self._path)
        return {
            name: [info["size"], _time(info)]
            for name, info in found.items()
            if not self._stays(name)
        }

    def _here(self) -> dict[str, int]:
        times = {}
        for name, path in self._files():
            with suppress(FileNotFoundError):  # another thread has just removed it
                times[name] = path.stat().st_mtime_ns
        return times

    def _files(self) -> Iterator[tuple[str, Path]]:
        for parent, folders, files in os.walk(self.folder):
            below = Path(parent).relative_to(self.folder)
            folders[:] = [
                name for name in folders if not self._stays(f"{(below / name).as_posix()}/")
            ]
            for name in files:
                inside = (below / name).as_posix()
                if not self._stays(inside):
                    yield inside, Path(parent, name)

    def _stays(self, name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in self._not_sent)

    def _remember(self) -> None:
        write_json(self.folder / ".known", self._known)


@contextmanager
def _saying(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MirrorError(f"{address}: cannot be reached: {one_line(error)}") from error


def _time(info: dict[str, Any]) -> str:
    for key in ("mtime", "LastModified", "created"):
        if (time := info.get(key)) is not None:
            return time.isoformat() if isinstance(time, datetime) else str(time)
    return ""
