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
    """
    try:
        yield
    except (EvaluationError, TableError) as error:
        raise EvaluationError(f"{name}: {error}") from error
