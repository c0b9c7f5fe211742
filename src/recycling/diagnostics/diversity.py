"""How often the members of an ensemble agree.

An ensemble gains from members that make different errors. An agreement near 1 means that a member
adds little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NewType, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.classes.probabilities import aligned_probabilities
from recycling.ensembling.masks.image_members import check_same_images, stacked
from recycling.ensembling.members import member_names
from recycling.predictions import (
    DETECTIONS,
    IGNORE,
    ClassProbabilities,
    Detections,
    LabelMaps,
)
from recycling.tables import Column, Schema, register_table

Agreement = NewType("Agreement", pd.DataFrame)
"""One row a pair of members; schema `AGREEMENT`."""

AGREEMENT = Schema(
    "agreement",
    (
        Column("member_a", "string", "one member of the ensemble"),
        Column("member_b", "string", "another one"),
        Column("agreement", "float64", "share on which they say the same", minimum=0, maximum=1),
    ),
)
register_table("agreement", AGREEMENT, Agreement)

ALIKE = 0.95
"""The agreement from which on two members are one model twice."""

ERR_ALIKE = 0.8
"""And the correlation of their errors, where the truth is known."""


def probability_agreement(
    members: Sequence[ClassProbabilities], *, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """The share of crops for which two classifiers hold the same class most likely.

    Args:
        members: One table a member, of the same crops and classes.
        names: What to call the members.

    Returns:
        One row a pair of members; schema `AGREEMENT`. 1 where there are no crops.

    Raises:
        EnsemblingError: The members differ in crops or classes.
        TableError: A member is not a table of class probabilities.

    >>> a = pd.DataFrame({"annotation_id": [1, 2], "Metal": [0.9, 0.2], "Glass": [0.1, 0.8]})
    >>> b = pd.DataFrame({"annotation_id": [1, 2], "Metal": [0.7, 0.6], "Glass": [0.3, 0.4]})
    >>> probability_agreement([ClassProbabilities(a), ClassProbabilities(b)], names=["a", "b"])
      member_a member_b  agreement
    0        a        b        0.5
    """
    called = member_names(names, len(members))
    _, _, probabilities = aligned_probabilities(members, called)
    chosen = probabilities.argmax(axis=2)
    n_crops = chosen.shape[1]

    def agreement(a: int, b: int) -> float:
        return float((chosen[a] == chosen[b]).mean()) if n_crops else 1.0

    return _pairs(called, agreement)


def label_map_agreement(
    members: Sequence[LabelMaps], *, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """The share of pixels, over all images, to which two segmentation models give one label.

    Beside those that `ImageMaps` keeps, one image's maps are in memory at a time. Pixels that one
    of two leaves to others ("ignore") do not count.

    Args:
        members: The label maps of each member, of the same images; where sizes differ, in the size
            of the first member's.
        names: What to call the members.

    Returns:
        One row a pair of members; schema `AGREEMENT`. 1 where there are no images.

    Raises:
        EnsemblingError: A member lacks an image that another has.
    """
    called = member_names(names, len(members))
    check_same_images(members, called)
    n_members = len(members)
    same = np.zeros((n_members, n_members), dtype=np.int64)
    n_pixels = np.zeros_like(same)
    for image_id in members[0]:
        label_maps = stacked(members, image_id)
        said = label_maps != IGNORE
        all_said = bool(said.all())
        for a, b in combinations(range(n_members), 2):
            alike = label_maps[a] == label_maps[b]
            both = None if all_said else said[a] & said[b]
            n_pixels[a, b] += alike.size if both is None else np.count_nonzero(both)
            same[a, b] += np.count_nonzero(alike if both is None else alike & both)
    return _pairs(
        called, lambda a, b: float(same[a, b] / n_pixels[a, b]) if n_pixels[a, b] else 1.0
    )


def detection_agreement(
    members: Sequence[Detections],
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The share of two detectors' boxes that match.

    Boxes of one category on one image match one to one, those that overlap most first. The
    agreement is twice the matches over the boxes of both: the F1 score of either with the other as
    truth.

    Args:
        members: One table of detections a member.
        iou_threshold: Boxes match if their intersection over union is this or more.
        score_threshold: Boxes below this score are left out. A detector that keeps very many weak
            boxes seems to disagree with everyone without it.
        names: What to call the members.

    Returns:
        One row a pair of members; schema `AGREEMENT`. 1 where neither has a box.

    Raises:
        EnsemblingError: No members, or not one name a member.
        TableError: A member is not a table of detections.

    >>> boxes = pd.DataFrame({"image_id": [1, 1], "category_id": 7, "score": [0.9, 0.6]}).assign(
    ...     x_min=[0.0, 50.0], y_min=0.0, x_max=[40.0, 90.0], y_max=40.0
    ... )
    >>> members = [Detections(boxes), Detections(boxes[:1])]
    >>> detection_agreement(members)["agreement"].round(2).tolist()
    [0.67]
    """
    called = member_names(names, len(members))
    tables = [
        DETECTIONS.conform(member, where=name) for member, name in zip(members, called, strict=True)
    ]
    tables = [table[table["score"] >= score_threshold] for table in tables]
    return _pairs(called, lambda a, b: _paired_share(tables[a], tables[b], iou_threshold))


def alike_sentences(
    agreement: pd.DataFrame,
    error_correlation: pd.DataFrame | None = None,
    *,
    of: str,
) -> list[str]:
    """Which members are so alike that they count as one.

    A team whose members were all transformers lost places on the private leaderboard. Two good
    models agree because both are right; where the truth is known, only those that also err on the
    same are called alike.

    Args:
        agreement: Pairs of members; schema `AGREEMENT`.
        error_correlation: Columns `member_a, member_b, correlation`; None where no truth is known.
            A pair that is not in it is not called alike.
        of: What they agree on, in the plural: ``boxes``, ``pixels``, ``crops``.

    Returns:
        One sentence, without a full stop, for each group of members that are alike by pairs.

    Example:
        >>> pair = pd.DataFrame({"member_a": ["a"], "member_b": ["b"], "agreement": [0.97]})
        >>> alike_sentences(pair, of="boxes")[0].split(":")[0]
        'a and b agree on 0.97 of the boxes'
    """
    agreed = _by_pair(agreement, "agreement")
    errors = None if error_correlation is None else _by_pair(error_correlation, "correlation")
    alike = [
        pair
        for pair, share in agreed.items()
        if share >= ALIKE and (errors is None or errors.get(pair, -1.0) >= ERR_ALIKE)
    ]
    return [_alike(group, agreed, errors, of) for group in _connected(alike)]


def _by_pair(table: pd.DataFrame, column: str) -> dict[frozenset[str], float]:
    pairs = map(frozenset, zip(table["member_a"], table["member_b"], strict=True))
    return dict(zip(pairs, table[column].tolist(), strict=True))


def _connected(pairs: Sequence[frozenset[str]]) -> list[list[str]]:
    """Connected components of the pairs, each in alphabetical order."""
    groups: list[set[str]] = []
    for pair in pairs:
        touching = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair]
        groups.append(set(pair).union(*touching))
    return sorted(sorted(group) for group in groups)


def _alike(
    group: Sequence[str],
    agreed: dict[frozenset[str], float],
    errors: dict[frozenset[str], float] | None,
    of: str,
) -> str:
    pairs = [frozenset(pair) for pair in combinations(group, 2)]
    facts = f"agree on {_range([agreed[pair] for pair in pairs])} of the {of}"
    if errors is not None:
        known = [errors[pair] for pair in pairs if pair in errors]
        facts += f" and their errors correlate by {_range(known)}"
    times = "twice" if len(group) == 2 else f"{len(group)} times"
    names = f"{', '.join(group[:-1])} and {group[-1]}"
    return f"{names} {facts}: they are one model {times}; add another kind of network"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _pairs(names: Sequence[str], agreement: Callable[[int, int], float]) -> pd.DataFrame:
    rows = [(names[a], names[b], agreement(a, b)) for a, b in combinations(range(len(names)), 2)]
    return AGREEMENT.conform(pd.DataFrame(rows, columns=AGREEMENT.names), where="agreement")


def _paired_share(a: pd.DataFrame, b: pd.DataFrame, iou_threshold: float) -> float:
    if len(a) + len(b) == 0:
        return 1.0
    from recycling.diagnostics import _match_kernels

    _, boxes_a, boxes_b = boxes_by_group(a, b)
    n_matches = _match_kernels.count_matches(*boxes_a, *boxes_b, float(iou_threshold))
    return 2 * int(n_matches.sum()) / (len(a) + len(b))


Grouped: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Where each group begins, (groups + 1,), and the boxes group by group, (boxes, 4)."""


def boxes_by_group(a: pd.DataFrame, b: pd.DataFrame) -> tuple[NDArray[np.int64], Grouped, Grouped]:
    """Two members' boxes, those of one image and category together, images in ascending order.

    Args:
        a: One member's detections.
        b: Another one's; one of both has a row at least.

    Returns:
        The image of each group (groups,), and the boxes of both.
    """
    keys = ["image_id", "category_id"]
    both = pd.concat([a[keys], b[keys]])
    groups: NDArray[np.int64] = both.groupby(keys).ngroup().to_numpy().astype(np.int64)
    n_groups = int(groups.max()) + 1
    image_id = np.empty(n_groups, dtype=np.int64)
    image_id[groups] = both["image_id"].to_numpy()
    return (
        image_id,
        _by_group(a, groups[: len(a)], n_groups),
        _by_group(b, groups[len(a) :], n_groups),
    )


def _by_group(table: pd.DataFrame, group: NDArray[np.int64], n_groups: int) -> Grouped:
    order = np.argsort(group, kind="stable")
    pointer = np.searchsorted(group[order], np.arange(n_groups + 1)).astype(np.int64)
    boxes = table[["x_min", "y_min", "x_max", "y_max"]].to_numpy(dtype=np.float64)
    return pointer, np.ascontiguousarray(boxes[order])
