"""Fusing the class probabilities of several classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError, member_names, member_weights
from recycling.predictions import CLASS_PROBABILITIES, ClassProbabilities


def average_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    weights: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> ClassProbabilities:
    """The weighted mean of the members' probabilities.

    Args:
        members: One table a member, of the same crops (in any order) and the same classes.
        weights: How much each member counts; None where all count the same. Only their ratio
            matters.
        names: What to call the members in messages.

    Returns:
        The mean of each probability, float32, in the first member's order of rows and columns.

    Raises:
        EnsemblingError: Weights that do not fit, or a member with other crops or other classes;
            the message names the member and the first crop or class that differs.
        TableError: A member is not a table of class probabilities.
    """
    called = member_names(names, len(members))
    counting = member_weights(weights, called)
    annotation_ids, classes, probabilities = aligned_probabilities(members, called)
    mean = np.average(probabilities.astype(np.float64), axis=0, weights=counting)
    averaged = pd.DataFrame(mean.astype(np.float32), columns=classes)
    averaged.insert(0, "annotation_id", pd.Series(annotation_ids))
    return ClassProbabilities(averaged)


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
