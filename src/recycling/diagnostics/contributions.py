"""What each member adds to an ensemble: the score with it less the score without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NewType, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError
from recycling.evaluation.bootstrap import interval_of_draws
from recycling.tables import Column, Schema, register_table

Contributions = NewType("Contributions", pd.DataFrame)
"""One row a member; schema `CONTRIBUTIONS`."""

CONTRIBUTIONS = Schema(
    "contributions",
    (
        Column("member", "string", "the member's name", unique=True),
        Column("score", "float64", "its own score"),
        Column("without", "float64", "the ensemble's score without it"),
        Column("contribution", "float64", "the ensemble's score less that without it"),
        Column(
            "low",
            "Float64",
            "lower end of the contribution's interval; missing: unknown",
            nullable=True,
        ),
        Column(
            "high",
            "Float64",
            "upper end of the contribution's interval; missing: unknown",
            nullable=True,
        ),
    ),
)
register_table("contributions", CONTRIBUTIONS, Contributions)

ScoreOfDraws: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Scores of draws of images: (draws, images) how often each was drawn, to (draws,) scores."""

Fused = TypeVar("Fused")


def leave_one_out(members: Sequence[str], fuse: Callable[[list[str]], Fused]) -> dict[str, Fused]:
    """The ensemble without each of its members in turn.

    Args:
        members: The members' names.
        fuse: Gives the ensemble of the members that it is told, in their order.

    Returns:
        By member, the ensemble without it; empty where there is one member, as nothing is left.

    Example:
        >>> leave_one_out(["a", "b", "c"], "+".join)
        {'a': 'b+c', 'b': 'a+c', 'c': 'a+b'}
    """
    if len(members) < 2:
        return {}
    return {name: fuse([other for other in members if other != name]) for name in members}


def member_contributions(
    ensemble: ScoreOfDraws,
    members: Mapping[str, ScoreOfDraws],
    without: Mapping[str, ScoreOfDraws],
    draws: NDArray[np.int64],
    *,
    n_groups: int,
) -> Contributions:
    """What each member adds, with its interval of 95 % over images (`interval_of_draws`).

    Every draw is scored with the member and without it, so what makes images easy or hard for both
    cancels out. The interval tells what other images would change, not what another training would.

    Args:
        ensemble: Scores of the whole ensemble.
        members: Scores of each member alone, by its name.
        without: Scores of the ensemble without a member, by its name.
        draws: (draws, images), how often each image was drawn.
        n_groups: How many groups of images hold anything of what is scored.

    Returns:
        One row a member; schema `CONTRIBUTIONS`. An interval that holds 0 does not say whether the
        member helps; there is none where all draws gain alike, as of one group of images. No rows
        where `without` is empty.

    Raises:
        EnsemblingError: `without` names other members than `members`, there is no draw, or no draw
            has a score.
    """
    if without and set(without) != set(members):
        odd = sorted(set(without) ^ set(members))
        raise EnsemblingError(
            f"{odd[0]}: is among the members or the ensembles without one, but not both; "
            "give one ensemble without each member"
        )
    if draws.ndim != 2 or 0 in draws.shape:
        raise EnsemblingError(f"draws of the shape {draws.shape}; draw images once at least")
    every_image = np.ones((1, draws.shape[1]), dtype=np.int64)
    # The first row is the score itself, the others are the draws.
    weighted = np.vstack([every_image, draws])
    with_all = ensemble(weighted)
    rows = []
    for name in members if without else ():
        left = without[name](weighted)
        gain = with_all - left
        if not np.isfinite(gain[1:]).any():
            raise EnsemblingError(f"{name}: no draw of images has a score; is there any truth?")
        # One that never changes anything adds nothing, whatever images there are.
        is_any = np.nan_to_num(gain).any()
        low, high = interval_of_draws(gain[0], gain[1:], n_groups) if is_any else (0.0, 0.0)
        rows.append((name, members[name](every_image)[0], left[0], gain[0], low, high))
    frame = pd.DataFrame(rows, columns=CONTRIBUTIONS.names)
    return Contributions(CONTRIBUTIONS.conform(frame, where="contributions"))
