"""Files of one row an image: where the row of each image is."""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.errors import Faults, character_name, listed
from recycling.limits import LARGEST_ENTRY
from recycling.names import KnownNames, shown_name
from recycling.predictions.core import SubmissionError

logger = logging.getLogger(__name__)

MissingImages: TypeAlias = Literal["error", "skip"]
"""What to do where a file has no row of an image: stop, or go on without it."""

_NAME, _TEXT = "image_id", "PredictionString"
_COMMA, _QUOTE = b",", ord('"')


@dataclass(frozen=True)
class Rows:
    """Where the rows of a submission are.

    Attributes:
        row: (rows,), the row of the images table that each is about, ascending.
        start: (rows,), the byte that its PredictionString begins at.
        stop: (rows,), the byte after its end.
        names: (images,), the file names of the images table.
    """

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    names: list[str]

    def __len__(self) -> int:
        return len(self.row)

    def name_of(self, number: int) -> str:
        """What to call a row in a message."""
        return f"image {shown_name(self.names[self.row[number]])}"


def opened(path: Path) -> mmap.mmap:
    """The bytes of a file, read as they are asked for.

    Raises:
        SubmissionError: There is no such file, or it is empty.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise SubmissionError(f"{path}: the file is empty; it has not even a header")
            # It is closed when nobody looks at it any more: arrays may.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read: {error.strerror}") from error
    return content


def find_rows(
    content: mmap.mmap, path: Path, images: pd.DataFrame, missing: MissingImages, faults: Faults
) -> Rows:
    """Find the row of each image, whose name is compared as `KnownNames` does.

    Args:
        content: The file.
        path: Its name, for messages.
        images: The images, with `file_name`.
        missing: What to do where an image has no row.
        faults: Takes what is wrong.

    Returns:
        The rows that there are, in the order of the images table.

    Raises:
        SubmissionError: The header is wrong.
    """
    names = [str(name) for name in images["file_name"]]
    known, found = _found(content, path, names, faults)
    known.say_rewritten(path, "images")
    note_missing("image", names, found, path, missing, faults)
    order = sorted(found)
    return Rows(
        np.array(order, dtype=np.int64),
        np.array([found[row][0] for row in order], dtype=np.int64),
        np.array([found[row][1] for row in order], dtype=np.int64),
        names,
    )


def images_in(path: str | Path, images: pd.DataFrame) -> NDArray[np.int64]:
    """Which images a file has rows of.

    Args:
        path: The CSV file.
        images: The images, with `file_name`.

    Returns:
        Their rows in the table, ascending.

    Raises:
        SubmissionError: The file cannot be read, or its header is wrong.
    """
    path = Path(path)
    names = [str(name) for name in images["file_name"]]
    _, found = _found(opened(path), path, names, Faults(path, SubmissionError))
    return np.array(sorted(found), dtype=np.int64)


def _found(
    content: mmap.mmap, path: Path, names: list[str], faults: Faults
) -> tuple[KnownNames, dict[int, tuple[int, int]]]:
    """Where the PredictionString of each image is, by the image's row."""
    body, name_first = _header(content, path)
    known = KnownNames(names)
    found: dict[int, tuple[int, int]] = {}
    for number, (start, stop) in enumerate(_lines(path, body), 2):
        if stop - start > LARGEST_ENTRY:
            raise SubmissionError(
                f"{path}: line {number}: a row of more than {LARGEST_ENTRY >> 20} MB; is it a "
                "submission?"
            )
        fields = _two_fields(content, start, stop)
        name, text = (fields if name_first else fields[::-1]) if fields else (None, None)
        file_name = _text(content, name) if name else ""
        row = known.find(file_name)
        # A name with a comma that is no image's is more likely a row cut in three.
        if text is None or (row is None and "," in file_name):
            faults.add(f"a row has not the two columns {_NAME} and {_TEXT}", f"line {number}")
        elif row is None:
            kind = "the image is not one of those to predict, remove its row"
            known.note_unknown(file_name, "image", f"line {number}", kind, faults)
        elif row in found:
            place = f"image {shown_name(file_name)} (line {number})"
            faults.add("the image has a second row, keep one", place)
        else:
            found[row] = text
    return known, found


def _header(content: mmap.mmap, path: Path) -> tuple[int, bool]:
    """The byte after the header, and whether the name is the first column."""
    stop = content.find(b"\n", 0, LARGEST_ENTRY)
    stop = len(content) if stop < 0 else stop
    line = content[: min(stop, 1000)].decode("utf-8-sig", errors="replace").strip()
    columns = [column.strip().strip('"') for column in line.split(",")]
    if sorted(columns) != sorted((_NAME, _TEXT)):
        raise SubmissionError(
            f"{path}: the header is {line[:80]!r}; a submission has the two columns {_NAME} and "
            f"{_TEXT}"
        )
    return min(stop + 1, len(content)), columns[0] == _NAME


def _lines(path: Path, start: int) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends, or is too long; empty ones at the end of a file are none."""
    with path.open("rb") as file:
        file.seek(start)
        # `readline` looks for the end by memchr, `find` of an mmap byte by byte.
        while line := file.readline(LARGEST_ENTRY + 3):  # with its end
            stop = start + len(line) - line.endswith(b"\n")
            stop -= line.endswith((b"\r\n", b"\r"))
            if stop > start:
                yield start, stop
            start += len(line)


def _two_fields(
    content: mmap.mmap, start: int, stop: int
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Where the two fields of a line begin and end, quotes left out; None for another number."""
    comma = _closing_quote(content, start, stop) + 1 if content[start] == _QUOTE else start
    comma = content.find(_COMMA, comma, stop)
    if comma < 0:
        return None
    return _unquoted(content, start, comma), _unquoted(content, comma + 1, stop)


def _closing_quote(content: mmap.mmap, start: int, stop: int) -> int:
    """Where the field that opens at `start` closes; two quotes stand for one of its text."""
    at = content.find(b'"', start + 1, stop)
    while 0 <= at < stop - 1 and content[at + 1] == _QUOTE:
        at = content.find(b'"', at + 2, stop)
    return stop if at < 0 else at


def _unquoted(content: mmap.mmap, start: int, stop: int) -> tuple[int, int]:
    quoted = stop - start >= 2 and content[start] == content[stop - 1] == _QUOTE
    return (start + 1, stop - 1) if quoted else (start, stop)


def _text(content: mmap.mmap, field: tuple[int, int]) -> str:
    return content[slice(*field)].decode(errors="replace").replace('""', '"')


def note_missing(
    what: str,
    names: Sequence[object],
    found: Collection[int] | NDArray[np.int64],
    path: Path,
    missing: MissingImages,
    faults: Faults,
) -> None:
    """Note what has no row as a fault, or warn of it.

    Args:
        what: What should have rows: "image" or "crop".
        names: What each is called.
        found: Which of them have a row, by index.
        path: The file, for the warning.
        missing: Whether a missing row is a fault.
        faults: Takes them.
    """
    lacking = np.ones(len(names), dtype=np.bool_)
    lacking[list(found)] = False
    if missing == "error":
        faults.add_where(
            lacking,
            f"the {what} has no row, predict it too or set missing_images to skip",
            lambda row: f"{what} {shown_name(str(names[row]))}",
        )
    elif lacking.any():
        first = [shown_name(str(names[row])) for row in np.flatnonzero(lacking)]
        logger.warning(
            "%s: %d of %d %ss have no row; going on without them: %s",
            path,
            lacking.sum(),
            len(names),
            what,
            listed(first, 3),
        )


def kind_of_word(text: str, otherwise: str) -> str:
    r"""What is wrong with a word that is no number: a character that looks like a space, or else.

    Args:
        text: The word.
        otherwise: What is wrong where there is no such character.

    Example:
        >>> kind_of_word("0\t1", "not a number"), kind_of_word("O", "not a number")
        ('numbers have tab between them, write a space', 'not a number')
    """
    for character in text:
        if not character.isprintable() or (character.isspace() and character != " "):
            return f"numbers have {character_name(character)} between them, write a space"
    return otherwise
