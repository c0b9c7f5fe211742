"""All that is wrong with a source of annotations, told in one line."""

from __future__ import annotations

from pathlib import Path

from recycling.annotations.core import AnnotationError

_SHOWN = 3  # places named for each kind of fault


class Faults:
    """Collects faults by kind, so that a user sees them all at once.

    Args:
        where: What is read: the file or the folder.

    >>> faults = Faults("labels")
    >>> faults.add("the line is empty, remove it", "a.txt line 2")
    >>> faults.raise_if_any()
    Traceback (most recent call last):
    ...
    recycling.annotations.core.AnnotationError: labels: 1 fault: 1 x the line is empty, remove it: \
a.txt line 2
    """

    def __init__(self, where: str | Path) -> None:
        self._where = where
        self._places: dict[str, list[str]] = {}

    def add(self, kind: str, place: str) -> None:
        """Note one fault.

        Args:
            kind: What is wrong and what to do, the same words for all faults of a kind.
            place: Which file, row or id it is in.
        """
        self._places.setdefault(kind, []).append(place)

    def raise_if_any(self) -> None:
        """Stop where there are faults.

        Raises:
            AnnotationError: One line that counts them by kind and names the first few of each.
        """
        if not self._places:
            return
        total = sum(map(len, self._places.values()))
        parts = [
            f"{len(places)} x {kind}: {', '.join(places[:_SHOWN])}"
            + (", ..." if len(places) > _SHOWN else "")
            for kind, places in self._places.items()
        ]
        raise AnnotationError(
            f"{self._where}: {total} fault{'s' if total > 1 else ''}: {'; '.join(parts)}"
        )
