"""Files elsewhere, by an address that fsspec knows: ``s3://bucket/folds.parquet``.

S3 is reached by pyarrow, which the project has for its tables; where s3fs is installed, by that.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.core import url_to_fs

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

S3_PROTOCOLS = ("s3", "s3a")

_THREADS = 16
"""Files of a folder that are on their way together: most of the time of a small one is waiting."""


def is_address(path: str | Path) -> bool:
    """Whether a path is an address of a file that is not on this machine.

    >>> is_address("s3://bucket/data"), is_address("data"), is_address("file:///data")
    (True, False, False)
    """
    protocol, separator, _ = str(path).partition("://")
    return bool(separator) and protocol not in ("file", "local")


def system_of(address: str, **options: Any) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the path on it.

    Args:
        address: The address.
        options: What the file system takes, such as credentials.

    Raises:
        ImportError, ValueError: A package is missing, or the protocol is unknown.

    >>> system_of("memory://folder/a.txt")[1]
    '/folder/a.txt'
    """
    _register_s3()
    system, path = url_to_fs(address, **options)
    return system, path


def set_options(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Give file systems credentials and endpoints, here and in processes that this one starts.

    Args:
        options: By protocol; others are passed over.

    >>> set_options({"my_bucket": {"key": "a"}})
    """
    for protocol in fsspec.available_protocols():
        own = options.get(protocol)
        if isinstance(own, Mapping):
            fsspec.config.conf[protocol] = dict(own)
            # fsspec reads it when it is imported.
            os.environ[f"FSSPEC_{protocol.upper()}"] = json.dumps(dict(own))


def files_below(system: AbstractFileSystem, folder: str) -> dict[str, dict[str, Any]]:
    """What a file system tells of the files below a folder, by their path in it.

    Args:
        system: The file system.
        folder: The folder, which need not be there; of a file, that file, as ``.``.

    Raises:
        OSError: It cannot be listed, or a name would lead out of the folder.
    """
    found = {}
    for path, info in system.find(folder, detail=True).items():
        if info.get("type") == "file" and not path.endswith("/"):
            name = PurePosixPath(path).relative_to(PurePosixPath(folder)).as_posix()
            if ".." in name.split("/"):
                raise OSError(f"{path}: its name leads out of the folder; rename it")
            found[name] = info
    return found


def get_files(system: AbstractFileSystem, folder: str, names: list[str], to: Path) -> None:
    """Fetch files of a folder, several at a time; each is whole or not there.

    Args:
        system: The file system.
        folder: The folder.
        names: Their paths in it.
        to: The folder here; it is made.
    """

    def get(name: str) -> None:
        place = to / name
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f".{place.name}.{secrets.token_hex(8)}.unfinished")
        try:
            system.get_file(f"{folder}/{name}", str(unfinished))
            unfinished.replace(place)
        finally:
            unfinished.unlink(missing_ok=True)

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(get, names))


def put_files(system: AbstractFileSystem, source: Path, names: list[str], folder: str) -> None:
    """Send files of a folder, several at a time.

    Args:
        system: The file system.
        source: The folder here.
        names: Their paths in it.
        folder: The folder there.
    """
    _make_folders(system, folder, names)
    with ThreadPoolExecutor(_THREADS) as threads:
        list(
            threads.map(lambda name: system.put_file(f"{source / name}", f"{folder}/{name}"), names)
        )


def move_files(system: AbstractFileSystem, source: str, names: list[str], folder: str) -> None:
    """Move files of a folder to another one of the same file system, as `copy_files` does."""
    copy_files(system, source, names, folder)
    if names:
        system.rm(source, recursive=True)


def copy_files(system: AbstractFileSystem, source: str, names: list[str], folder: str) -> None:
    """Copy files of a folder to another one of the same file system, several at a time.

    Args:
        system: The file system.
        source: The folder that they are in.
        names: Their paths in it.
        folder: The other one.
    """
    _make_folders(system, folder, names)
    with ThreadPoolExecutor(_THREADS) as threads:
        copied = threads.map(
            lambda name: system.cp_file(f"{source}/{name}", f"{folder}/{name}"), names
        )
        list(copied)


def _make_folders(system: AbstractFileSystem, folder: str, names: list[str]) -> None:
    for parent in sorted({f"{folder}/{name}".rpartition("/")[0] for name in names} | {folder}):
        system.makedirs(parent, exist_ok=True)


@cache
def _register_s3() -> None:
    if find_spec("s3fs") is None:
        for protocol in S3_PROTOCOLS:
            fsspec.register_implementation(protocol, "recycling.s3.S3FileSystem", clobber=True)
