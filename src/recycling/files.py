"""Files and folders that are whole or not there, however a process ends.

A value is first written beside its place, under a hidden name that no other process, thread or call
has. It is put on the disk (fsync), and takes its place in one step. A process that is killed leaves
the old value as it was, and a hidden ``.NAME.….unfinished``, which the next write to that place
removes. It knows by a lock whether the writer is still alive: the system takes the lock from a
process that ends, whichever way it ends.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recycling.addresses import copy_files, files_below, move_files, put_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNFINISHED, _REPLACED = _ENDINGS = (".unfinished", ".replaced")
_GROWING = ".growing"

COMPLETE = ".complete"
"""The file of a folder on an object store that is written last: JSON, the sha256 of each file."""

_FLUSHING_THREADS = 16
"""A disk writes many small files together: a thousand took 0.13 s so, and 0.6 s one by one."""

_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""Why a folder cannot take a name: what is there has to make room."""

_CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""What some file systems say of an fsync of a folder."""

_guard: ContextVar[Callable[[], None] | None] = ContextVar("guard", default=None)


@contextmanager
def guarded(check: Callable[[], None] | None) -> Iterator[None]:
    """Ask whether it still may, each time that something is to take its place in this thread.

    Locks on folders are not waited for meanwhile: who may write is known by what is asked.

    Args:
        check: Raises where nothing may be written any more; what was there is then kept.

    >>> folder = getfixture("tmp_path")
    >>> with guarded(lambda: 1 / 0):
    ...     write_text(folder / "a.txt", "late")
    Traceback (most recent call last):
    ...
    ZeroDivisionError: division by zero
    >>> list(folder.iterdir())
    []
    """
    before = _guard.set(check)
    try:
        yield
    finally:
        _guard.reset(before)


def is_guarded() -> bool:
    """Whether this is within `guarded`."""
    return _guard.get() is not None


def _ask() -> None:
    if (check := _guard.get()) is not None:
        with guarded(None):  # it may write itself
            check()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Write a file whole, or not at all.

    Args:
        path: Where the file belongs. Its folder is made where there is none; a link is followed.

    Yields:
        An empty file beside `path`, to write to. It replaces what is at `path` when the block
        ends, and is removed if the block raises.

    Raises:
        OSError: It cannot be written; what was at `path` is still there.

    >>> folder = getfixture("tmp_path")
    >>> with new_file(folder / "a.txt") as unfinished:
    ...     _ = unfinished.write_text("whole")
    ...     (folder / "a.txt").exists()
    False
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    place = Path(os.path.realpath(path))
    with _beside(place, lambda path: path.touch(exist_ok=False)) as unfinished:
        yield unfinished
        _flush(unfinished)
        _ask()
        unfinished.replace(place)
        _flush(place.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Write a folder whole, or not at all.

    Old and new are exchanged in one step where the system can do that (Linux). Elsewhere there is
    a moment with neither; what a process that is killed in it leaves is put back by the next write.

    Args:
        path: Where the folder belongs. Its parents are made where there are none; a link is
            followed.

    Yields:
        An empty folder beside `path`, to write into. It replaces what is at `path` when the block
        ends, and is removed if the block raises.

    Raises:
        OSError: It cannot be written; what was at `path` is still there.
    """
    place = Path(os.path.realpath(path))
    with _beside(place, Path.mkdir) as unfinished:
        yield unfinished
        _flush_all_in(unfinished)
        _ask()
        _put_folder(unfinished, place)
        _flush(place.parent)


@contextmanager
def growing_folder(path: Path) -> Iterator[Path | None]:
    """Fill a folder in steps, over the lives of several processes if need be.

    What is put in by a process that is then killed is there for the next one, which goes on with
    what is missing. Each step is written with `new_file` or `new_folder`, so that it is whole.

    Args:
        path: Where the folder belongs.

    Yields:
        A hidden folder beside `path`, with what earlier processes have put in. It is renamed to
        `path` when the block ends, and kept if the block raises. None where there is something at
        `path` already. Others that want to fill it wait meanwhile.

    >>> folder = getfixture("tmp_path")
    >>> with growing_folder(folder / "set") as growing:
    ...     _ = (growing / "a.txt").write_text("whole")
    >>> [path.name for path in folder.iterdir()]
    ['set']
    >>> with growing_folder(folder / "set") as growing:
    ...     print(growing)
    None
    """
    place = Path(os.path.realpath(path))
    growing = place.with_name(f".{place.name}{_GROWING}")
    growing.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(FileExistsError):
            growing.mkdir()  # exist_ok would look again, and by then it may have got its name
        lock = None if is_guarded() else _lock(growing, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            found = growing.stat()
            if lock is None or os.path.samestat(os.fstat(lock), found):
                break
        # Whoever had the lock has finished, and this is no longer the folder of that name.
        _unlock(lock)
    try:
        if place.exists():
            _remove(growing)
            yield None
            return
        yield growing
        _flush(growing)
        _ask()
        growing.rename(place)
        _flush(place.parent)
    finally:
        _unlock(lock)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of these bytes, as `new_file` does."""
    with new_file(path) as unfinished:
        unfinished.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a file of this text in UTF-8, with line ends as they are, as `new_file` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, indented by two, as `new_file` does.

    Raises:
        TypeError: The value, or a part of it, is none that JSON has.
    """
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_image(path: Path, pixels: NDArray[Any], options: Sequence[int] = ()) -> None:
    """Write an image into a folder that is not whole yet, by the format of its ending.

    OpenCV's own writer takes a small file that a full disk has cut off for written.

    Args:
        path: The file.
        pixels: (H, W) or (H, W, 3), channels as OpenCV has them: blue, green, red.
        options: Pairs of OpenCV's `IMWRITE_` names and values.

    Raises:
        OSError: There is no room, or the folder cannot be written to.
    """
    import cv2

    try:
        path.write_bytes(cv2.imencode(path.suffix, pixels, [*options])[1].tobytes())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def drop_unfinished_line(path: Path) -> None:
    r"""Cut off a last line that was not written to its end, as of a killed run, or on a full disk.

    >>> path = getfixture("tmp_path") / "a.jsonl"
    >>> _ = path.write_bytes(b'{"a": 1}\n{"a"')
    >>> drop_unfinished_line(path)
    >>> path.read_bytes()
    b'{"a": 1}\n'
    """
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


def clear_leftovers(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder, or below it.

    For a folder that nobody writes to any more; elsewhere the next write to a place does that.
    """
    for left in list(folder.rglob(".*")):
        if left.suffix in _ENDINGS:
            name, _, _ = left.name[1:].rsplit(".", 2)
            _clear_leftover(left, left.with_name(name))


def upload(local: Path, filesystem: Any, path: str) -> None:
    """Put a file or folder of this machine on a file system of fsspec.

    It arrives under a hidden name and is moved. The move of a file is one step, or one for whoever
    reads: on object stores a key shows its new content when that is whole. A folder is many keys
    there, moved one by one. It is complete when `COMPLETE` is in it, removed first, written last.

    Args:
        local: The file or folder.
        filesystem: Of fsspec.
        path: Where it belongs on that file system.
    """
    with _hidden_there(filesystem, path) as unfinished:
        if local.is_dir():
            _upload_folder(local, filesystem, unfinished, path)
            return
        filesystem.put_file(str(local), unfinished)
        _ask()
        filesystem.mv(unfinished, path)


@contextmanager
def _hidden_there(filesystem: Any, path: str) -> Iterator[str]:
    """A hidden name beside a path, for what arrives there; what has it goes where that fails."""
    parent, _, name = path.rpartition("/")
    unfinished = f"{parent}/.{name}.{secrets.token_hex(8)}{_UNFINISHED}"
    filesystem.makedirs(parent, exist_ok=True)
    try:
        yield unfinished
    except BaseException:
        with suppress(OSError):  # what failed first is what is to be seen
            filesystem.rm(unfinished, recursive=True)
        raise


def copy_there(filesystem: Any, source: str, path: str) -> None:
    """Copy a file or folder to another place of its file system, as whole as by `upload`.

    Args:
        filesystem: Of fsspec.
        source: What is copied.
        path: Where to; what is there is replaced.
    """
    if filesystem.info(source)["type"] == "file":
        with _hidden_there(filesystem, path) as unfinished:
            filesystem.cp_file(source, unfinished)
            filesystem.mv(unfinished, path)
        return
    remove_there(filesystem, path)
    names = [name for name in files_below(filesystem, source) if name != COMPLETE]
    copy_files(filesystem, source, names, path)
    filesystem.cp_file(f"{source}/{COMPLETE}", f"{path}/{COMPLETE}")


def remove_there(filesystem: Any, path: str) -> None:
    """Remove a file or folder of a file system of fsspec; a folder is no longer whole first."""
    complete = f"{path}/{COMPLETE}"
    if filesystem.exists(complete):
        filesystem.rm_file(complete)
    if filesystem.find(path):
        filesystem.rm(path, recursive=True)


def _upload_folder(local: Path, filesystem: Any, unfinished: str, path: str) -> None:
    files = sorted(file for file in local.rglob("*") if file.is_file())
    names = [file.relative_to(local).as_posix() for file in files]
    complete = f"{path}/{COMPLETE}"
    put_files(filesystem, local, names, unfinished)
    _ask()
    remove_there(filesystem, path)
    move_files(filesystem, unfinished, names, path)
    held = {name: sha256_of(file) for name, file in zip(names, files, strict=True)}
    filesystem.pipe_file(complete, json.dumps(held, indent=0).encode())


def sha256_of(path: Path) -> str:
    """The sha256 of a file, as 64 hex digits.

    >>> path = getfixture("tmp_path") / "weights.pth"
    >>> _ = path.write_bytes(b"")
    >>> sha256_of(path)[:8]
    'e3b0c442'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of(value: Any) -> str:
    """A hash of what JSON can hold, whatever the order of its keys.

    >>> hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


@contextmanager
def _beside(place: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """A hidden file or folder beside `place` that is locked, and gone when the block has ended."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(place)
    while True:
        unfinished = _hidden(place, _UNFINISHED)
        make(unfinished)
        lock = _lock(unfinished, fcntl.LOCK_EX)
        if unfinished.exists():
            break
        # Between the two lines above, another process has taken it for a leftover.
        _unlock(lock)
    try:
        yield unfinished
    finally:
        _remove(unfinished)
        _unlock(lock)


def _hidden(place: Path, ending: str) -> Path:
    """A name that is never given twice. It has another ending: ``*.png`` must not find it."""
    return place.with_name(f".{place.name}.{secrets.token_hex(8)}{ending}")


def _clear_leftovers(place: Path) -> None:
    """Remove what processes that were killed have left beside `place`."""
    for left in place.parent.iterdir():
        if left.name.startswith(f".{place.name}.") and left.suffix in _ENDINGS:
            _clear_leftover(left, place)


def _clear_leftover(left: Path, place: Path) -> None:
    lock = _lock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if lock is None:  # its writer is alive, or nobody can tell
        return
    if left.suffix == _REPLACED and not place.exists():
        with suppress(OSError):  # of another process that does the same
            left.rename(place)
    else:
        _remove(left)
    _unlock(lock)


def _lock(path: Path, kind: int) -> int | None:
    """Lock a file or folder; None where that cannot be done."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, kind)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        # Closing is not enough where a process that was forked meanwhile holds it open.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _put_folder(unfinished: Path, place: Path) -> None:
    """Give a folder its name, and what had the name before that of the folder, if anything."""
    while True:
        try:
            unfinished.rename(place)
            return
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
        with suppress(FileNotFoundError):  # another process has just moved what was there
            if not _exchange(unfinished, place):
                _exchange_by_renaming(unfinished, place)
            return


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; False where the system or its file system has no such step.

    Raises:
        OSError: It has one, and it failed.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD of fcntl.h and RENAME_EXCHANGE of linux/fs.h
    if rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def _exchange_by_renaming(unfinished: Path, place: Path) -> None:
    old = _hidden(place, _REPLACED)
    place.rename(old)
    try:
        unfinished.rename(place)
    except OSError:
        old.rename(place)
        raise
    _remove(old)


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)


def _flush_all_in(folder: Path) -> None:
    paths = [folder]
    for parent, folders, files in os.walk(folder):
        paths += [path for name in folders + files if not (path := Path(parent, name)).is_symlink()]
    with ThreadPoolExecutor(_FLUSHING_THREADS) as threads:
        for _ in threads.map(_flush, paths):
            pass


def _remove(path: Path) -> None:
    """Remove a file or folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def why_unreachable(error: Exception) -> str:
    """Why fsspec cannot open a URL, in one line, with what to install where a package is missing.

    >>> why_unreachable(ImportError('HTTPFileSystem requires "requests" and "aiohttp"'))
    'HTTPFileSystem requires "requests" and "aiohttp"; install the extra: pip install ".[remote]"'
    """
    reason = str(error).splitlines()[0] if str(error).strip() else type(error).__name__
    if not isinstance(error, ImportError):
        return reason
    if "aiohttp" in reason:
        return f'{reason}; install the extra: pip install ".[remote]"'
    return f"{reason}; docs/how_to.md says more under URLs"


def link(source: Path, place: Path) -> None:
    """Give a file, or all in a folder, a second name; a copy where the disk has no links.

    Files of the project are replaced and never written into, so that the second name goes on to
    hold what they were.

    Args:
        source: The file or folder.
        place: Its second name; what is there is replaced.
    """
    if source.is_dir():
        with new_folder(place) as unfinished:
            for path in source.rglob("*"):
                twin = unfinished / path.relative_to(source)
                if path.is_dir():
                    twin.mkdir(parents=True, exist_ok=True)
                else:
                    twin.parent.mkdir(parents=True, exist_ok=True)
                    _link_file(path, twin)
        return
    with new_file(place) as unfinished_file:
        unfinished_file.unlink()
        _link_file(source, unfinished_file)


def _link_file(source: Path, place: Path) -> None:
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)
