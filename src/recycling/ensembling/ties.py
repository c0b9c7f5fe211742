"""Who decides where members are tied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError


def best_first(ranks: Sequence[int], names: Sequence[str]) -> NDArray[np.int64]:
    """The members in the order of their ranks.

    Args:
        ranks: (members,), each member's rank, the smallest the best; no two the same.
        names: The members' names.

    Returns:
        (members,), where each stands among the members, the best first.

    Raises:
        EnsemblingError: Not one rank a member, or two members share one.

    Example:
        >>> best_first([2, 0, 1], ["a", "b", "c"]).tolist()
        [1, 2, 0]
    """
    if len(ranks) != len(names):
        raise EnsemblingError(
            f"{len(ranks)} ranks for {len(names)} members; give one rank a member"
        )
    holder: dict[int, str] = {}
    for name, rank in zip(names, ranks, strict=True):
        if rank in holder:
            raise EnsemblingError(
                f"{holder[rank]} and {name} share rank {rank}; a tie needs one of them to be better"
            )
        holder[rank] = name
    return np.argsort(np.asarray(ranks, dtype=np.int64), kind="stable").astype(np.int64)
