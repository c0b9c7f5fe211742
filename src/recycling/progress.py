"""One line of progress for anything that takes more than a moment."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakSet

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")


class _Shown(threading.local):
    """The lines of this thread that are not over; what an interrupt leaves behind is not kept."""

    def __init__(self) -> None:
        self.lines: WeakSet[Progress] = WeakSet()


_shown = _Shown()


class _Outermost(Progress):
    """A line inside of another, as of a validation in a training, is not shown."""

    def start(self) -> None:
        # An iterator that nobody ends is collected by any thread; its line ends in this one.
        self._around = _shown.lines
        self.disable = self.disable or len(self._around) > 0
        self._around.add(self)
        super().start()

    def stop(self) -> None:
        self._around.discard(self)
        super().stop()


def progress_bar() -> Progress:
    """A rich progress line: what, how far, time spent and time left."""
    return _Outermost(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        transient=False,
    )


@contextmanager
def without_lines() -> Iterator[None]:
    """Show no line of this thread within, as where nobody waits for what is done.

    >>> with without_lines():
    ...     list(track([1, 2], "counting"))
    [1, 2]
    """
    outer = Progress(disable=True)
    _shown.lines.add(outer)
    try:
        yield
    finally:
        _shown.lines.discard(outer)


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Iterate over `items` with a progress line.

    Args:
        items: What to iterate over.
        description: What is being done, in a few words.
        total: How many there are, where `len(items)` cannot tell.

    Yields:
        The items.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar() as progress:
        task = progress.add_task(description, total=total, note="")
        for item in items:
            yield item
            progress.advance(task)
