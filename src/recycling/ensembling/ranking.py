"""The members of an ensemble, the better first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NewType

import pandas as pd

from recycling.tables import Column, Schema

Ranking = NewType("Ranking", pd.DataFrame)
"""One row a member; schema `RANKING`."""

RANKING = Schema(
    "ranking",
    (
        Column("member", "string", "the member's name", unique=True),
        Column("score", "float64", "its score on images that it has not seen", minimum=0),
        Column("rank", "int64", "0 is the best", minimum=0, unique=True),
    ),
)


def rank_members(scores: Mapping[str, float]) -> Ranking:
    """Rank members by their score on images that they have not seen.

    Args:
        scores: Score by member; higher is better.

    Returns:
        The ranking, in the order of `scores`. Of equals, the one named first ranks higher.

    Example:
        >>> rank_members({"a": 0.5, "b": 0.7})["rank"].tolist()
        [1, 0]
    """
    best_first = sorted(scores, key=lambda member: -scores[member])
    frame = pd.DataFrame(
        {
            "member": list(scores),
            "score": [float(score) for score in scores.values()],
            "rank": [best_first.index(member) for member in scores],
        }
    )
    return Ranking(RANKING.conform(frame, where="ranking"))
