"""Tables of class probabilities, brought into one order and put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError
from recycling.predictions import CLASS_PROBABILITIES, ClassProbabilities

FLOOR = 1e-6
"""The least probability taken for possible, so that one member's 0 is no veto."""


def log_probabilities(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Natural logarithms, of at least `FLOOR`; of the same shape."""
    return np.asarray(np.log(np.maximum(probabilities.astype(np.float64), FLOOR)))


def probability_table(
    annotation_ids: NDArray[np.int64], classes: Sequence[str], probabilities: NDArray[np.floating]
) -> ClassProbabilities:
    """A table of class probabilities.

    Args:
        annotation_ids: (crops,).
        classes: Their names.
        probabilities: (crops, classes).
    """
    table = pd.DataFrame(probabilities.astype(np.float32), columns=list(classes))
    table.insert(0, "annotation_id", pd.Series(annotation_ids))
    return ClassProbabilities(table)


def scaled_rows(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of at least `FLOOR` whose rows sum to 1; of the same shape."""
    positive = np.maximum(probabilities, FLOOR)
    return np.asarray(positive / positive.sum(axis=1, keepdims=True))


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
    aligned = []
    for name, table in zip(names, tables, strict=True):
        _check_same("class", first.columns, table.columns, names[0], name)
        _check_same("crop", first.index, table.index, names[0], name)
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


def _check_same(
    what: str, first: pd.Index, other: pd.Index, first_name: str, other_name: str
) -> None:
    for has, lacks, has_name, lacks_name in (
        (first, other, first_name, other_name),
        (other, first, other_name, first_name),
    ):
        missing = has[~has.isin(lacks)]
        if len(missing):
            raise EnsemblingError(
                f"{lacks_name}: no {what} {missing[0]!r}, which {has_name} has ({len(missing)} are "
                f"missing); predict on the same {what} list or leave {lacks_name} out"
            )
