"""All that is wrong with a file or a folder, told in one line that is short enough to be read."""

from __future__ import annotations

import errno
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ITEMS, CHARACTERS = 10, 300
"""What a message shows at most: items of a list, and characters of one value."""

_SHOWN = 3  # locations named for each kind of fault
_LINE = 3000  # characters of a whole message
# Nothing is matched twice (`++`): a message may be long. An apostrophe opens no quotation.
_OPENS, _CLOSES = r"(?<![^\s(\[{:=])", r"(?![^\s)\]},;:.])"
_ITEM = r"""(?:'[^']*+'|"[^"]*+"|[^\s,;:()\[\]{}'"]++)"""
_LIST = re.compile(rf"{_OPENS}{_ITEM}(?:, {_ITEM}){{{ITEMS},}}+")
_LONG = rf"{{{CHARACTERS},}}+"
_VALUE = re.compile(rf"{_OPENS}(?:'[^']{_LONG}'|\"[^\"]{_LONG}\"){_CLOSES}|\S{_LONG}")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_CONTROLS = {"\t": "tab", "\n": "line feed", "\r": "carriage return", "\0": "null"}


def cut(text: str, most: int = CHARACTERS) -> str:
    """A text with its middle left out where it is longer than a message should show.

    Args:
        text: Any text.
        most: How many of its characters are shown, those at its ends.

    Example:
        >>> cut("a" * 5000, most=6)
        'aaaa ... (4,994 characters) ... aa'
    """
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail]} ... ({len(text) - most:,} characters) ... {text[-tail:]}"


def listed(items: Iterable[object], most: int = ITEMS) -> str:
    """The first items of a list, each cut, and how many more there are.

    Args:
        items: What is listed, in order.
        most: How many are shown.

    Example:
        >>> listed(["Paper", "Metal", "Glass"], most=2)
        'Paper, Metal, ... (1 more)'
    """
    texts = [str(item) for item in items]
    shown = ", ".join(cut(text) for text in texts[:most])
    return shown if len(texts) <= most else f"{shown}, ... ({len(texts) - most:,} more)"


def command(words: str, env: str | None) -> str:
    """A command that a message gives, of the environment that it is about.

    Args:
        words: What comes after `kedro`.
        env: The environment; None for the one that is taken by itself.

    Example:
        >>> command("run --pipelines splitting", "mine")
        'kedro run --env mine --pipelines splitting'
    """
    name, _, rest = words.partition(" ")
    return " ".join(["kedro", name, *(["--env", env] if env else []), rest])


def visible(text: str) -> str:
    r"""A text in quotes, in which characters that cannot be seen are named.

    What is written in decomposed form (NFD: letter and accent as two characters, as macOS names
    files) looks like the composed one, so it is said.

    Args:
        text: Any text, as found in a file; cut where it is long.

    Example:
        >>> visible("0\t1"), visible("7\xa0")
        ("'0<tab>1'", "'7<no-break space U+00A0>'")
    """
    decomposed = " (decomposed, NFD)" if unicodedata.normalize("NFC", text) != text else ""
    return f"'{printable(cut(text))}'{decomposed}"


def printable(text: str) -> str:
    r"""A line in which characters that cannot be seen are named: some of them steer a terminal.

    Args:
        text: One line, with names out of files.

    Example:
        >>> printable("Glass\x1b[2J")
        'Glass<character U+001B>[2J'
    """
    return "".join(
        character if character.isprintable() else f"<{character_name(character)}>"
        for character in text
    )


class PrintableFormatter(logging.Formatter):
    """Messages of the log as `printable` shows a line: they name what is in files of others."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The message, line by line."""
        return "\n".join(printable(line) for line in super().formatMessage(record).split("\n"))


def character_name(character: str) -> str:
    r"""What a character is called, with its code where that is not a common one.

    >>> character_name("\t"), character_name("\u200b")
    ('tab', 'zero width space U+200B')
    """
    if character in _CONTROLS:
        return _CONTROLS[character]
    name = unicodedata.name(character, "character").lower()
    return f"{name} U+{ord(character):04X}"


def one_line(error: BaseException | str) -> str:
    r"""A message as one line that can be seen: lists cut at ten items, values at 300 characters.

    Args:
        error: The message, or an error that has it; of one without, the name of its class.

    Example:
        >>> one_line("no such model;\n known: " + ", ".join("abcdefghijklm"))
        'no such model; known: a, b, c, d, e, f, g, h, i, j, ... (3 more)'
        >>> one_line(TimeoutError())
        'TimeoutError'
    """
    line = " ".join(str(error).split())
    if not line and isinstance(error, BaseException):
        return type(error).__name__
    line = _LIST.sub(lambda found: listed(re.findall(_ITEM, found[0])), line)
    line = _VALUE.sub(lambda found: cut(found[0]), line)
    return printable(cut(line, _LINE))


def message_for_user(error: BaseException) -> str | None:
    """The line that explains an error to a user; None for an error that is ours to mend.

    Kedro wraps what happens inside a dataset: the outermost error of this project counts.

    Example:
        >>> message_for_user(OSError(errno.ENOSPC, "No space left on device", "a.json"))
        'a.json: No space left on device; what was made before is whole, make room and run again'
        >>> message_for_user(ZeroDivisionError()) is None
        True
    """
    chain = _chain(error)
    ours = [e for e in chain if type(e).__module__.startswith("recycling.")]
    kedros = [e for e in chain if type(e).__module__.startswith(("kedro.", "omegaconf.", "yaml."))]
    if ours or kedros:
        return one_line((ours or kedros)[0])
    if full := _of_no_room(chain):
        place = full[0].filename2 or full[0].filename  # of a link the second is what is made
        where = f"{place}: " if place else ""
        return printable(
            f"{where}{full[0].strerror}; what was made before is whole, make room and run again"
        )
    if shut := [e for e in chain if isinstance(e, PermissionError) and e.filename]:
        place = shut[0].filename2 or shut[0].filename
        return printable(
            f"{place}: {shut[0].strerror}; what was made before is whole, let this user write and "
            "read there and run again"
        )
    if isinstance(error, ValueError) and "Failed to find the pipeline" in str(error):
        return one_line(error)
    return None


def line_of(error: BaseException) -> str:
    """The line that explains an error to a user; of one that is ours to mend, what it says.

    Example:
        >>> line_of(ZeroDivisionError("division by zero"))
        'ZeroDivisionError: division by zero'
    """
    return message_for_user(error) or one_line(f"{type(error).__name__}: {error}")


def has_no_room(error: BaseException) -> bool:
    """Whether an error is that of a disk which is full, or can no longer be written to.

    Example:
        >>> has_no_room(OSError(errno.ENOSPC, "No space left on device"))
        True
    """
    return bool(_of_no_room(_chain(error)))


def _chain(error: BaseException) -> list[BaseException]:
    """An error, and those that it came from."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    return chain


def _of_no_room(chain: Iterable[BaseException]) -> list[OSError]:
    return [e for e in chain if isinstance(e, OSError) and e.errno in _NO_ROOM]


class Faults:
    """Collects faults by kind, so that a user sees them all at once.

    Args:
        where: What is read: the file or the folder.
        error: What is raised.

    >>> faults = Faults("labels", ValueError)
    >>> faults.add("the line is empty, remove it", "a.txt line 2")
    >>> faults.raise_if_any()
    Traceback (most recent call last):
    ...
    ValueError: labels: 1 fault: 1 x the line is empty, remove it: a.txt line 2
    """

    def __init__(self, where: str | Path, error: type[Exception]) -> None:
        self._where = where
        self._error = error
        self._locations: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, location: str) -> None:
        """Note one fault.

        Args:
            kind: What is wrong and what to do, the same words for all faults of a kind.
            location: Which file, image, row, id or number it is in.
        """
        self._counts[kind] = self._counts.get(kind, 0) + 1
        shown = self._locations.setdefault(kind, [])
        if len(shown) < _SHOWN:
            shown.append(cut(location))

    def add_where(self, bad: NDArray[np.bool_], kind: str, location: Callable[[int], str]) -> None:
        """Note a fault for each true value, without a text for those that are not shown.

        Args:
            bad: (things,).
            kind: What is wrong with them and what to do.
            location: Gives the location of a fault, by its number.

        >>> faults = Faults("boxes.csv", ValueError)
        >>> faults.add_where(np.arange(9) > 2, "a negative width, correct it", "row {}".format)
        >>> faults.raise_if_any()
        Traceback (most recent call last):
        ...
        ValueError: boxes.csv: 6 faults: 6 x a negative width, correct it: row 3, row 4, row 5, ...
        """
        rows = np.flatnonzero(bad)
        for row in rows[:_SHOWN]:
            self.add(kind, location(int(row)))
        if len(rows) > _SHOWN:
            self._counts[kind] += len(rows) - _SHOWN

    def raise_if_any(self) -> None:
        """Stop where there are faults.

        Raises:
            Exception: Of the given class: one line that counts the faults by kind and names the
                first few of each.
        """
        if not self._counts:
            return
        total = sum(self._counts.values())
        kinds = [
            f"{count} x {cut(kind)}: {', '.join(self._locations[kind])}"
            + (", ..." if count > _SHOWN else "")
            for kind, count in self._counts.items()
        ]
        more = f"; and faults of {len(kinds) - ITEMS} more kinds" if len(kinds) > ITEMS else ""
        raise self._error(
            f"{self._where}: {total} fault{'s' if total > 1 else ''}: "
            f"{'; '.join(kinds[:ITEMS])}{more}"
        )
