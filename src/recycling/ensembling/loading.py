"""Loading what numba has compiled."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def first_call_of(kernel: Any) -> Iterator[None]:
    """Make a compiled function's first call in this process start sooner; later ones are as ever.

    Args:
        kernel: The function that is called inside.
    """
    if getattr(kernel, "signatures", ()):
        yield
        return
    with _ONE_AT_A_TIME, no_garbage_looked_for(), _refreshed_once():
        yield


@contextmanager
def no_garbage_looked_for() -> Iterator[None]:
    """Hold Python's garbage collector while numba is loaded.

    That makes hundreds of thousands of objects, all of which stay: a third of the time would go
    into looking through them for garbage.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _refreshed_once() -> Iterator[None]:
    """Bring numba's tables of functions up to date once.

    Bringing them up to date adds 250 functions, each of which has all tables brought up to date
    again from within; nothing is found to do then.
    """
    context: Any = importlib.import_module("numba.core.base").BaseContext
    before = context.refresh
    under_way: set[tuple[int, int]] = set()

    def refresh(self: Any) -> None:
        here = (threading.get_ident(), id(self))
        if here in under_way:
            return
        under_way.add(here)
        try:
            before(self)
        finally:
            under_way.remove(here)

    context.refresh = refresh
    try:
        yield
    finally:
        context.refresh = before
