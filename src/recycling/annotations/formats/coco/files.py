"""Bytes from and to local files and any other place that fsspec knows, plain or gzip."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from recycling.annotations.core import AnnotationError
from recycling.files import new_file, upload, why_unreachable
from recycling.limits import TooLargeError, check_bytes, unpacked

_GZIP = b"\x1f\x8b"
_GZIP_LEVEL = 6  # level 9 takes three times as long for two to four percent


def read_content(path: str | Path, storage_options: Mapping[str, Any] | None = None) -> bytes:
    """The content of a file, unpacked where it is gzip, whatever its name.

    Args:
        path: A local path, or a URL that fsspec knows.
        storage_options: For fsspec: credentials, endpoints.

    Raises:
        AnnotationError: There is no such file, it cannot be read, it is damaged or empty.
    """
    name, filesystem = _resolved(path, storage_options)
    try:
        if filesystem is None:
            check_bytes(Path(name).stat().st_size)
        content = Path(name).read_bytes() if filesystem is None else filesystem.cat_file(name)
        if content.startswith(_GZIP):
            content = _unpacked(content, path)
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; check the path in the catalog") from None
    except AnnotationError:
        raise
    except TooLargeError as error:
        raise AnnotationError(
            f"{path}: {error}; is it COCO? if so, raise max_bytes of limits"
        ) from error
    except Exception as error:  # each filesystem of fsspec has errors of its own
        raise AnnotationError(f"{path}: cannot be read: {_reason(error)}") from error
    if not content.strip():
        raise AnnotationError(f"{path}: the file is empty; fetch or write it again")
    return cast(bytes, content)


def _unpacked(content: bytes, path: str | Path) -> bytes:
    try:
        return unpacked(content)
    except (OSError, EOFError, zlib.error) as error:
        raise AnnotationError(f"{path}: damaged gzip file ({error}); fetch it again") from error


@contextmanager
def whole_file(
    path: str | Path, storage_options: Mapping[str, Any] | None = None
) -> Iterator[BinaryIO]:
    """A file to write to that appears whole or not at all, gzip where its name ends in ``.gz``.

    A local file gets its name when it is complete. One elsewhere is made complete on this machine
    first and uploaded when the block has ended, so nothing is sent of what cannot be written.
    Object stores (S3, GCS, Azure, ``memory://``) show an upload only once it is whole; where a
    filesystem shows a file while it arrives (SFTP), a broken connection can leave a part of it.

    Args:
        path: A local path, or a URL that fsspec knows; its folder is made where there is none.
        storage_options: For fsspec: credentials, endpoints.

    Yields:
        The file, open for writing.

    Raises:
        AnnotationError: It cannot be written there.

    >>> path = getfixture("tmp_path") / "a.json.gz"
    >>> with whole_file(path) as file:
    ...     _ = file.write(b"{}")
    >>> read_content(path)
    b'{}'
    """
    name, filesystem = _resolved(path, storage_options)
    local = new_file(Path(name)) if filesystem is None else _uploaded(filesystem, name)
    try:
        with local as unfinished, unfinished.open("wb") as file:
            if str(path).endswith(".gz"):
                # No name and no time in it, so that equal content gives equal bytes.
                with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield file
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be written: {_reason(error)}") from error


def _resolved(path: str | Path, storage_options: Mapping[str, Any] | None) -> tuple[str, Any]:
    """The name that a path leads to, and the filesystem that has it; None for this machine's."""
    if isinstance(path, Path) or "://" not in path:
        return str(path), None
    from fsspec.implementations.local import LocalFileSystem

    from recycling.addresses import system_of

    try:
        filesystem, name = system_of(path, **(storage_options or {}))
    except (ImportError, ValueError) as error:  # the protocol's package is missing, or unknown
        raise AnnotationError(f"{path}: cannot be reached: {why_unreachable(error)}") from error
    return name, None if isinstance(filesystem, LocalFileSystem) else filesystem


@contextmanager
def _uploaded(filesystem: Any, name: str) -> Iterator[Path]:
    """A file on this machine, to write to, that is uploaded when the block has ended."""
    with tempfile.TemporaryDirectory() as folder:
        unfinished = Path(folder, "unfinished")
        yield unfinished
        try:
            upload(unfinished, filesystem, name)
        except Exception as error:  # each filesystem of fsspec has errors of its own
            raise OSError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0] if text.strip() else type(error).__name__
