"""Names that files and tables give to images and categories, compared as people mean them.

Tools disagree on three things about one and the same name: the Unicode form of its letters (macOS
decomposes them, NFD), the separator of its folders (Windows writes a backslash), and the case of
its extension.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from recycling.errors import Faults, listed, visible

logger = logging.getLogger(__name__)

LEAVES_FOLDER = r"^$|^[/\\]|^[A-Za-z]:[/\\]|(?:^|[/\\])\.\.(?:[/\\]|$)"
"""Of a file name that may be no path below a folder: after a link, `..` is wherever that leads."""

_LEAVES_FOLDER = re.compile(LEAVES_FOLDER)


def composed(name: str) -> str:
    r"""The name in Unicode's composed form (NFC), in which names are compared.

    >>> composed("e\u0301") == "\xe9"
    True
    """
    return unicodedata.normalize("NFC", name)


def leaves_folder(name: str) -> bool:
    r"""Whether the name of a file may be no path below its folder.

    >>> [leaves_folder(name) for name in ("/a.jpg", "C:\\a.jpg", "a/../b.jpg", "")]
    [True, True, True, True]
    >>> [leaves_folder(name) for name in ("a/b.jpg", "a..b.jpg", "a:b.jpg")]
    [False, False, False]
    """
    return _LEAVES_FOLDER.search(name) is not None


def loosely(name: str) -> str:
    r"""The name without what tools disagree on: Unicode form, separators, case, a leading ``./``.

    >>> loosely(".\\Test\\0001.JPG")
    'test/0001.jpg'
    """
    folders = composed(name).replace("\\", "/").split("/")
    return "/".join(folder for folder in folders if folder not in ("", ".")).casefold()


def is_text(value: object) -> bool:
    r"""Whether a value is text that a table can hold: half of a surrogate pair fits none.

    JSON and YAML may hold halves, and Python names files by them whose names are not UTF-8.

    Args:
        value: Any.

    >>> is_text("Glas"), is_text("\ud800"), is_text(7)
    (True, False, False)
    """
    if type(value) is not str:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def each_once(choices: Iterable[Iterable[str]]) -> list[str]:
    """Of several choices of names the first each that none before has, as `loosely` compares.

    Args:
        choices: For each thing the names that it may have, the best first, and enough of them.

    >>> each_once([["a.png", "a.2.png"], ["A.png", "a.2.png"]])
    ['a.png', 'a.2.png']
    """
    used: set[str] = set()
    found = []
    for names in choices:
        free = next(name for name in names if loosely(name) not in used)
        used.add(loosely(free))
        found.append(free)
    return found


class KnownNames:
    r"""Finds which of some names another name means.

    A name is first taken literally, then in composed form, then as `loosely` compares: it means
    the one known name that differs from it in nothing else. Where several do, it means none.

    Args:
        names: The known names, each once.

    Example:
        >>> known = KnownNames(["test/0001.jpg", "test/a.jpg", "test/A.jpg"])
        >>> known.find("test\\0001.JPG"), known.find("test\\a.jpg"), known.find("2.jpg")
        (0, None, None)
        >>> known.candidates("test\\a.jpg")
        ['test/a.jpg', 'test/A.jpg']
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._literal = {name: row for row, name in enumerate(self._names)}
        self._rewritten: list[tuple[str, str]] = []

    def find(self, name: str) -> int | None:
        """The row of the known name that a name means; None where it means none, or several."""
        if (row := self._literal.get(name)) is not None:
            return row
        rows = self._candidates(name)
        if len(rows) != 1:
            return None
        self._rewritten.append((name, self._names[rows[0]]))
        return rows[0]

    def candidates(self, name: str) -> list[str]:
        """The known names that a name may mean."""
        return [self._names[row] for row in self._candidates(name)]

    @cached_property
    def _composed(self) -> dict[str, list[int]]:
        return _rows_by(map(composed, self._names))

    @cached_property
    def _loosely(self) -> dict[str, list[int]]:
        return _rows_by(map(loosely, self._names))

    def _candidates(self, name: str) -> list[int]:
        return self._composed.get(composed(name)) or self._loosely.get(loosely(name)) or []

    @cached_property
    def _without_folders(self) -> dict[str, list[int]]:
        return _rows_by(loosely(name).rpartition("/")[2] for name in self._names)

    def note_unknown(self, name: str, what: str, place: str, kind: str, faults: Faults) -> None:
        """Note a name that `find` did not find.

        Args:
            name: The name.
            what: What it is the name of.
            place: Where it is, such as a line.
            kind: What is wrong and what to do, where it is like no known name.
            faults: Takes it.
        """
        if several := self.candidates(name):
            kind = f"the name may mean more than one {what}, write it as the annotations do"
            place += f", {listed(map(visible, several))}"
        elif len(rows := self._without_folders.get(loosely(name), [])) == 1:
            kind = f"the name of the {what} lacks its folder, write it as the annotations do"
            place += f", {visible(self._names[rows[0]])}"
        faults.add(kind, f"{what} {shown_name(name)} ({place})")

    def say_rewritten(self, where: str | Path, what: str) -> None:
        """Say once how many names were found under another spelling, and the first of them.

        Args:
            where: What is read.
            what: What the names are of, in the plural.
        """
        if self._rewritten:
            pairs = (f"{visible(name)} for {visible(known)}" for name, known in self._rewritten)
            logger.warning(
                "%s: %d names of %s are spelt in another way (Unicode form, separators, case) and "
                "taken for the same: %s",
                where,
                len(self._rewritten),
                what,
                listed(pairs, 3),
            )


def shown_name(name: str) -> str:
    """A name as a message shows it: plain, or quoted with what cannot be seen.

    >>> shown_name("test/0001.jpg"), shown_name("0001.jpg ")
    ('test/0001.jpg', "'0001.jpg '")
    """
    quoted = visible(name)
    plain = quoted == f"'{name}'" and name == name.strip() and name
    return name if plain else quoted


def _rows_by(keys: Iterable[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows
