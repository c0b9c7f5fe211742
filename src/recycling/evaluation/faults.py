"""Saying which member of an ensemble a fault is of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recycling.evaluation.core import EvaluationError
from recycling.tables import TableError


@contextmanager
def naming_member(name: str) -> Iterator[None]:
    """Put the member's name before what is wrong with its predictions.

    Args:
        name: The member's name.

    Raises:
        EvaluationError: What was raised within, with the name before it.

    Example:
        >>> with naming_member("yolox"):
        ...     raise EvaluationError("no object to find")
        Traceback (most recent call last):
        ...
        recycling.evaluation.core.EvaluationError: yolox: no object to find
    """
    try:
        yield
    except (EvaluationError, TableError) as error:
        raise EvaluationError(f"{name}: {error}") from error
