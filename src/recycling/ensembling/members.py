"""The members of an ensemble: what to call them and how much each one counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class EnsemblingError(ValueError):
    """Members cannot be fused: one line, which member, where, what is wrong, what to do."""


def member_names(names: Sequence[str] | None, n_members: int) -> list[str]:
    """What to call each member in messages and tables.

    Args:
        names: One name a member, or None for ``member 0``, ``member 1``, ...
        n_members: How many members there are.

    Returns:
        `n_members` names.

    Raises:
        EnsemblingError: There are no members, or not one name a member.

    Example:
        >>> member_names(None, 2)
        ['member 0', 'member 1']
    """
    if n_members == 0:
        raise EnsemblingError("there are no members to fuse; give at least one")
    if names is None:
        return [f"member {number}" for number in range(n_members)]
    if len(names) != n_members:
        raise EnsemblingError(f"{len(names)} names for {n_members} members; give one name a member")
    return list(names)


def member_weights(weights: Sequence[float] | None, names: Sequence[str]) -> NDArray[np.float64]:
    """How much each member counts.

    Args:
        weights: One weight a member, or None where all count the same.
        names: The members' names.

    Returns:
        (members,) weights, at least one of them above 0.

    Raises:
        EnsemblingError: Not one weight a member, a weight below 0 or not finite, or all are 0.

    Example:
        >>> member_weights(None, ["a", "b"]).tolist(), member_weights([2, 1], ["a", "b"]).tolist()
        ([1.0, 1.0], [2.0, 1.0])
    """
    if weights is None:
        return np.ones(len(names))
    if len(weights) != len(names):
        raise EnsemblingError(
            f"{len(weights)} weights for {len(names)} members ({', '.join(names)}); "
            "give one weight a member"
        )
    result = np.asarray(weights, dtype=np.float64)
    for name, weight in zip(names, result, strict=True):
        if not np.isfinite(weight) or weight < 0:
            raise EnsemblingError(f"{name}: weight {weight:g}; a weight is a number from 0 up")
    if not result.any():
        raise EnsemblingError(f"all weights are 0 ({', '.join(names)}); one at least must count")
    return result


def model_of(member: str) -> str:
    """The model that a member is one fold of, or the name that its file was given.

    Example:
        >>> model_of("yolox.fold0"), model_of("colleague.csv")
        ('yolox', 'colleague')
    """
    return member.rsplit(".", 1)[0]


def check_same(
    members: Sequence[Collection[Any]], names: Sequence[str], *, what: str, remedy: str
) -> None:
    """Stop with one line where a member lacks something that another one has.

    Args:
        members: What each member has: images, crops or classes.
        names: The members' names.
        what: What these are, for the message.
        remedy: What to do, for the message.

    Raises:
        EnsemblingError: A member lacks something; it names both and the first such thing.

    Example:
        >>> check_same([[7, 9], [7]], ["a", "b"], what="crop", remedy="predict on the same crops")
        Traceback (most recent call last):
        ...
        recycling.ensembling.members.EnsemblingError: b: no crop 9, which a has (1 are missing); \
predict on the same crops or leave b out
    """
    first, *others = (pd.Index(list(member)) for member in members)
    for name, other in zip(names[1:], others, strict=True):
        for has, lacks, has_name, lacks_name in (
            (first, other, names[0], name),
            (other, first, name, names[0]),
        ):
            missing = has[~has.isin(lacks)].tolist()
            if missing:
                raise EnsemblingError(
                    f"{lacks_name}: no {what} {missing[0]!r}, which {has_name} has "
                    f"({len(missing)} are missing); {remedy} or leave {lacks_name} out"
                )


def check_share(name: str, value: float) -> None:
    """Stop where a setting is not from 0 to 1.

    Raises:
        EnsemblingError: It is not.
    """
    if not 0 <= value <= 1:
        raise EnsemblingError(f"{name} is {value:g}; it should be from 0 to 1")
