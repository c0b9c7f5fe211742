"""Loading what numba has compiled."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_looked_for(kernel: object = None) -> Iterator[None]:
    """Hold Python's garbage collector while numba, or in its first call a kernel, is loaded.

    That makes hundreds of thousands of objects, all of which stay: a third of the time would go
    into looking through them for garbage.

    Args:
        kernel: A compiled function; nothing is held if it has been called before.
    """
    if getattr(kernel, "signatures", ()) or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
