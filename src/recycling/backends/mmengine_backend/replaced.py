"""Another attribute of a library's module or class, for a while."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute another value inside, and its own one back at the end.

    >>> import math
    >>> with replaced(math, "pi", 3):
    ...     math.pi
    3
    >>> math.pi > 3
    True
    """
    before = inspect.getattr_static(owner, name)  # a static method as one
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
