"""What is in a file or folder, as a short text that is another where the content is another."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from recycling.files import hash_of, sha256_of, write_text

Value = list[Any]

_BYTES_OF_A_FOLDER = 2**30
"""Up to how many bytes a folder is read; one that holds more goes by names, sizes and times."""

_SETTLED_S = 2.0
"""A file may change again within the tick of its file system's clock, and keep size and time."""


class ContentCache:
    """What was found out about files, kept till they change.

    A file that has the size, the times and the inode that it had is not read again.

    Args:
        path: Where it is kept between runs: a file of JSON, which need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[Value, Any]] = {}
        self._unsettled: set[str] = set()
        self._changed = False
        with suppress(OSError, ValueError, TypeError, AttributeError):
            known = json.loads(path.read_bytes())
            self._known = {key: (state, value) for key, (state, value) in known.items()}

    def sha256(self, path: Path) -> str:
        """The sha256 of a file's bytes, as 64 hex digits."""
        return str(self.of(path, "sha256", sha256_of))

    def of(self, path: Path, kind: str, find_out: Callable[[Path], Any]) -> Any:
        """What `find_out` says of a file, as JSON; it is not asked twice of the same content.

        Args:
            path: The file.
            kind: What is found out: part of the key.
            find_out: Takes the path.

        Raises:
            OSError: The file cannot be read.
        """
        key = f"{kind} {os.path.abspath(path)}"  # noqa: PTH100  # a link is followed by stat alone
        facts = path.stat()
        state: Value = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
        known = self._known.get(key)
        if known is not None and known[0] == state:
            return known[1]
        settled = time.time() - facts.st_ctime > _SETTLED_S
        value = find_out(path)
        self._known[key] = state, value
        (self._unsettled.discard if settled else self._unsettled.add)(key)
        self._changed = True
        return value

    def save(self) -> None:
        """Keep what is known for the next run; on a disk that is full or only read, do nothing."""
        if not self._changed:
            return
        kept = {
            key: known
            for key, known in self._known.items()
            if key not in self._unsettled and Path(key.partition(" ")[2]).exists()
        }
        with suppress(OSError):
            write_text(self._path, json.dumps(kept))
        self._changed = False


def fingerprint(path: Path, cache: ContentCache) -> str:
    """The fingerprint of a file or folder by its bytes and, of a folder, the names in it.

    Hidden files are passed over. A folder of more than a gibibyte goes by names, sizes and times.

    Args:
        path: The file or folder.
        cache: Knows files that have not changed.

    Returns:
        A few words and hex digits; ``not there`` where there is nothing.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> cache = ContentCache(folder / ".cache")
        >>> _ = (folder / "a.txt").write_text("one")
        >>> before = fingerprint(folder, cache)
        >>> _ = (folder / "a.txt").write_text("other")
        >>> fingerprint(folder, cache) == before, fingerprint(folder / "b.txt", cache)
        (False, 'not there')
    """
    try:
        if not path.is_dir():
            return f"sha256 {cache.sha256(path)}"
        files = list(_files_in(path))
        if sum(facts.st_size for _, facts in files) > _BYTES_OF_A_FOLDER:
            return _by_names(path, files)
        return _hashed("content", ((_name(path, file), cache.sha256(file)) for file, _ in files))
    except (FileNotFoundError, NotADirectoryError):
        return "not there"


def fingerprint_by_names(path: Path) -> str:
    """The fingerprint of a folder by the names, sizes and times of what is in it.

    Args:
        path: The folder.

    Returns:
        As of `fingerprint`.
    """
    return _by_names(path, list(_files_in(path))) if path.is_dir() else "not there"


def _by_names(folder: Path, files: list[tuple[Path, os.stat_result]]) -> str:
    rows = ((_name(folder, file), facts.st_size, facts.st_mtime_ns) for file, facts in files)
    return _hashed("names, sizes and times", rows)


def _hashed(how: str, rows: Iterator[tuple[Any, ...]]) -> str:
    listed = sorted(rows)
    return f"{how} of {len(listed)} files {hash_of(listed)}"


def _name(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()


def _files_in(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file below a folder that is not hidden; links are followed, in circles not."""
    entered = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        here = Path(parent).stat()
        if (place := (here.st_dev, here.st_ino)) in entered:
            folders.clear()
            continue
        entered.add(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                with suppress(OSError):  # a link to nowhere or to itself, or just removed
                    path = Path(parent, name)
                    yield path, path.stat()
