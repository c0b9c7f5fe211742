"""Fusing the class probabilities of several classifiers.

Where members speak on one scale, their mean is hard to beat; the geometric mean lets one sure
member outweigh several unsure ones; ranks forget scales; votes forget how sure a member was.
`stacking` learns from out-of-fold predictions how much to believe whom on what.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError, member_names, member_weights
from recycling.ensembling.ties import best_first
from recycling.predictions import CLASS_PROBABILITIES, ClassProbabilities

FLOOR = 1e-6
"""The least probability taken for possible, so that one member's 0 is no veto."""


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
    return probability_table(annotation_ids, classes, mean)


def geometric_mean_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    weights: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> ClassProbabilities:
    """The weighted geometric mean of the members' probabilities, scaled so that rows sum to 1.

    The mean of their log-probabilities, which is the mean of their logits. Probabilities below
    `FLOOR` count as that.

    Args:
        members: As for `average_probabilities`.
        weights: As for `average_probabilities`.
        names: As for `average_probabilities`.

    Returns:
        float32, in the first member's order of rows and columns.

    Raises:
        EnsemblingError: As for `average_probabilities`.
        TableError: A member is not a table of class probabilities.
    """
    called = member_names(names, len(members))
    counting = member_weights(weights, called)
    annotation_ids, classes, probabilities = aligned_probabilities(members, called)
    logs = log_probabilities(probabilities)
    mean = np.exp(np.average(logs, axis=0, weights=counting))
    return probability_table(annotation_ids, classes, _scaled(mean))


def rank_average_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    weights: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> ClassProbabilities:
    """Average where each crop stands among all, class by class: members' scales are forgotten.

    Within a class a crop's place is the weighted mean of its places among the members (equal
    probabilities share the mean of their places). Its probability is what the members, on average,
    give to the crop at that place; rows are then scaled to sum to 1. So a member that is always
    sure and one that never is count the same, and one member alone is left as it was.

    Places depend on the other crops: fuse all crops of a test set at once.

    Args:
        members: As for `average_probabilities`.
        weights: As for `average_probabilities`.
        names: As for `average_probabilities`.

    Returns:
        float32, in the first member's order of rows and columns.

    Raises:
        EnsemblingError: As for `average_probabilities`.
        TableError: A member is not a table of class probabilities.
    """
    called = member_names(names, len(members))
    counting = member_weights(weights, called)
    annotation_ids, classes, probabilities = aligned_probabilities(members, called)
    if len(annotation_ids) == 0:
        return probability_table(annotation_ids, classes, probabilities[0])
    ranked = [pd.DataFrame(own).rank(method="average").to_numpy() for own in probabilities]
    places = np.average(ranked, axis=0, weights=counting)
    ladder = np.average(np.sort(probabilities.astype(np.float64), axis=1), axis=0, weights=counting)
    steps = np.arange(1, len(annotation_ids) + 1)
    values = [np.interp(places[:, c], steps, ladder[:, c]) for c in range(len(classes))]
    return probability_table(annotation_ids, classes, _scaled(np.stack(values, axis=1)))


def hard_vote_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    ranks: Sequence[int],
    names: Sequence[str] | None = None,
) -> ClassProbabilities:
    """Let each member vote for its most likely class; ties go to the best-ranked of the tied.

    Args:
        members: As for `average_probabilities`. Of classes that a member holds equally likely, the
            first has its vote.
        ranks: (members,), each member's place, the smallest the best; no two the same.
        names: What to call the members in messages.

    Returns:
        Each class's share of the votes, float32, where the winner is given half a vote more, so
        that the table, too, says who won a tie. In the first member's order of rows and columns.

    Raises:
        EnsemblingError: Ranks that do not fit, or a member with other crops or other classes.
        TableError: A member is not a table of class probabilities.
    """
    called = member_names(names, len(members))
    order = best_first(ranks, called)
    annotation_ids, classes, probabilities = aligned_probabilities(members, called)
    choices = probabilities.argmax(axis=2)[order]
    votes = (choices[:, :, None] == np.arange(len(classes))).sum(axis=0)
    rows = np.arange(len(annotation_ids))
    # argmax takes the first of equals, and members stand in the order of their ranks.
    winner = choices[votes[rows, choices].argmax(axis=0), rows]
    shares = votes.astype(np.float64)
    shares[rows, winner] += 0.5
    return probability_table(annotation_ids, classes, shares / (len(members) + 0.5))


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


def _scaled(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
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
