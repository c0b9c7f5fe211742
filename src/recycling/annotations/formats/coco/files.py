"""Bytes from and to files, plain or gzip."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from recycling.annotations.core import AnnotationError
from recycling.files import new_file
from recycling.limits import TooLargeError, check_bytes, unpacked

_GZIP = b"\x1f\x8b"
_GZIP_LEVEL = 6  # level 9 takes three times as long for two to four percent


def read_content(path: str | Path, most: int | None = None) -> bytes:
    """The content of a file, unpacked where it is gzip, whatever its name.

    Args:
        path: The file.
        most: Bytes, unpacked; by default `max_bytes` of the limits.

    Raises:
        AnnotationError: There is no such file, it cannot be read, it is damaged or empty.
    """
    try:
        check_bytes(Path(path).stat().st_size, most)
        content = Path(path).read_bytes()
        if content.startswith(_GZIP):
            content = _unpacked(content, path, most)
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such file; check the path in the catalog") from None
    except TooLargeError as error:
        raise AnnotationError(
            f"{path}: {error}; is it the right file? if so, raise max_bytes of limits"
        ) from error
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not content.strip():
        raise AnnotationError(f"{path}: the file is empty; fetch or write it again")
    return content


def _unpacked(content: bytes, path: str | Path, most: int | None) -> bytes:
    try:
        return unpacked(content, most)
    except (OSError, EOFError, zlib.error) as error:
        raise AnnotationError(f"{path}: damaged gzip file ({error}); fetch it again") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to that appears whole or not at all, gzip where its name ends in ``.gz``.

    Args:
        path: The file; its folder is made where there is none.

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
    try:
        with new_file(Path(path)) as unfinished, unfinished.open("wb") as file:
            if str(path).endswith(".gz"):
                # No name and no time in it, so that equal content gives equal bytes.
                with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield file
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be written: {error.strerror or error}") from error
