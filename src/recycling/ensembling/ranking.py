"""The members of an ensemble, the better first."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import NewType

import pandas as pd

from recycling.tables import Column, Schema, register_table

Ranking = NewType("Ranking", pd.DataFrame)
"""One row a member; schema `RANKING`."""

RANKING = Schema(
    "ranking",
    (
        Column("member", "string", "the member's name", unique=True),
        Column(
            "score",
            "Float64",
            "its score on images that it has not seen; missing where there are no such predictions",
            nullable=True,
            minimum=0,
        ),
        Column("rank", "int64", "0 is the best", minimum=0, unique=True),
    ),
)
register_table("ranking", RANKING, Ranking)


def rank_members(scores: Mapping[str, float | None]) -> Ranking:
    """Rank members by their score on images that they have not seen.

    Args:
        scores: Score by member; higher is better. None where it is not known.

    Returns:
        The ranking, in the order of `scores`. Of equals, the one named first ranks higher; members
        without a score come last.

    Example:
        >>> rank_members({"a": 0.5, "b": None, "c": 0.7})["rank"].tolist()
        [1, 2, 0]
    """

    def key(member: str) -> tuple[bool, float]:
        score = scores[member]
        return (True, 0.0) if score is None or isnan(score) else (False, -score)

    best_first = sorted(scores, key=key)
    frame = pd.DataFrame(
        {
            "member": list(scores),
            "score": pd.array(list(scores.values()), dtype="Float64"),
            "rank": [best_first.index(member) for member in scores],
        }
    )
    return Ranking(RANKING.conform(frame, where="ranking"))
