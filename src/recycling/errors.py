"""All that is wrong with a file or a folder, in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SHOWN = 3  # locations named for each kind of fault


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
            shown.append(location)

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
        parts = [
            f"{count} x {kind}: {', '.join(self._locations[kind])}"
            + (", ..." if count > _SHOWN else "")
            for kind, count in self._counts.items()
        ]
        raise self._error(
            f"{self._where}: {total} fault{'s' if total > 1 else ''}: {'; '.join(parts)}"
        )
