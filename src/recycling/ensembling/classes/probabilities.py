"""Tables of class probabilities, brought into one order and put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError, check_same
from recycling.predictions import CLASS_PROBABILITIES, ClassProbabilities

FLOOR = 1e-6
"""The least probability taken for possible, so that one member's 0 is no veto."""


def log_probabilities(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Natural logarithms, of at least `FLOOR`; of the same shape.

    >>> log_probabilities(np.array([[1.0, 0.0]], np.float32)).round(2).tolist()
    [[0.0, -13.82]]
    """
    return np.asarray(np.log(np.maximum(probabilities.astype(np.float64), FLOOR)))


def probability_table(
    annotation_ids: NDArray[np.int64], classes: Sequence[str], probabilities: NDArray[np.floating]
) -> ClassProbabilities:
    """A table of class probabilities.

    Args:
        annotation_ids: (crops,).
        classes: Their names.
        probabilities: (crops, classes).

    Example:
        >>> probability_table(np.array([7]), ["paper", "metal"], np.array([[0.75, 0.25]]))
           annotation_id  paper  metal
        0              7   0.75   0.25
    """
    table = pd.DataFrame(probabilities.astype(np.float32), columns=list(classes))
    table.insert(0, "annotation_id", pd.Series(annotation_ids))
    return ClassProbabilities(table)


def scaled_rows(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of at least `FLOOR` whose rows sum to 1; of the same shape.

    >>> scaled_rows(np.array([[3.0, 1.0]])).tolist()
    [[0.75, 0.25]]
    """
    positive = np.maximum(probabilities, FLOOR)
    return np.asarray(positive / positive.sum(axis=1, keepdims=True))


def says_nothing(probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether all classes are equally likely, as where a file lacks a crop.

    Args:
        probabilities: (..., classes).

    Returns:
        (...).

    >>> says_nothing(np.array([[0.5, 0.5], [0.6, 0.4]])).tolist()
    [True, False]
    """
    return np.asarray(probabilities.max(axis=-1) == probabilities.min(axis=-1))


def aligned_probabilities(
    members: Sequence[ClassProbabilities], names: Sequence[str]
) -> tuple[NDArray[np.int64], list[str], NDArray[np.float32]]:
    """Bring the members' rows and columns into the first one's order.

    Returns:
        Annotation ids, (crops,); class names; probabilities, (members, crops, classes).

    Raises:
        EnsemblingError: A member has other crops or other classes than the first one.
        TableError: A member is not a table of class probabilities.
    """
    tables = [
        CLASS_PROBABILITIES.conform(member, where=name).set_index("annotation_id")
        for member, name in zip(members, names, strict=True)
    ]
    first = tables[0]
    for what, known in (
        ("class", [table.columns for table in tables]),
        ("crop", [table.index for table in tables]),
    ):
        check_same(known, names, what=what, remedy=f"predict on the same {what} list")
    aligned = []
    for name, table in zip(names, tables, strict=True):
        values = table.loc[first.index, first.columns].to_numpy(dtype=np.float32)
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            raise EnsemblingError(
                f"{name}: crop {first.index[bad.argmax()]}: a probability is not a finite number; "
                f"{int(bad.sum())} of {len(bad)} rows are like that"
            )
        aligned.append(values)
    return (
        first.index.to_numpy(dtype=np.int64),
        [str(column) for column in first.columns],
        np.stack(aligned),
    )
