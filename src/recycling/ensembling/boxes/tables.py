"""From the members' tables to arrays in the order in which the methods take boxes, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.boxes.instance_masks import SEGMENTATION, fused_segmentations
from recycling.ensembling.members import EnsemblingError, member_names, member_weights
from recycling.predictions import DETECTIONS, Detections

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

Weights: TypeAlias = Sequence[float] | Mapping[int, Sequence[float]]
"""One weight a member; or that for each category, by its id."""

BOXES_AT_A_TIME = 32_768
"""About how many boxes a thread works on at a time: what it makes of them stays in its cache."""

_EDGES = ("x_min", "y_min", "x_max", "y_max")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Boxes:
    """The boxes of all members on some images, group by group, the best of each group first.

    A group holds the boxes that may be one object: those of one category on one image, or all on
    the image if categories do not matter.

    Attributes:
        offsets: (groups + 1,), where each group begins.
        row: (boxes,), where the box was among the rows of all members.
        member: (boxes,), whose it is.
        image: (boxes,), index of the image.
        category: (boxes,), index of the category.
        weight: (boxes,), its member's weight.
        score: (boxes,), its score times its weight.
        edges: `x_min`, `y_min`, `x_max` and `y_max`, each (boxes,), pixels.
        weights: (categories, members), how much each member counts.
    """

    offsets: Ints
    row: Ints
    member: Ints
    image: Ints
    category: Ints
    weight: Floats
    score: Floats
    edges: tuple[Floats, ...]
    weights: Floats


@dataclass(frozen=True)
class Fused:
    """What a method makes of boxes.

    Attributes:
        cluster: (boxes,), which fused box each box became part of, or -1.
        best: (fused,), the best of the boxes of each.
        category: (fused,), index of the category.
        score: (fused,), 0 to 1.
        edges: `x_min`, `y_min`, `x_max` and `y_max`, each (fused,), pixels.
    """

    cluster: Ints
    best: Ints
    category: Ints
    score: Floats
    edges: tuple[Floats, ...]


def kept(boxes: Boxes, best: Ints, score: Floats) -> Fused:
    """Some of the boxes, each for itself.

    Args:
        boxes: All boxes.
        best: (kept,), which of them.
        score: (kept,), their scores.
    """
    cluster = np.full(len(boxes.row), -1)
    cluster[best] = np.arange(len(best))
    edges = tuple(edge[best] for edge in boxes.edges)
    return Fused(cluster, best, boxes.category[best], score, edges)


def unscaled(weights: Floats) -> Floats:
    """Weights as they are."""
    return weights


def shares(weights: Floats) -> Floats:
    """(categories, members) weights, as shares of all members' weights."""
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def relative_to_largest(weights: Floats) -> Floats:
    """(categories, members) weights, divided by the largest of each category."""
    return np.asarray(weights / weights.max(axis=1, keepdims=True))


def fuse_images(
    members: Sequence[Detections],
    fuse: Callable[[Boxes], Fused],
    *,
    weights: Weights | None,
    names: Sequence[str] | None,
    score_threshold: float,
    class_agnostic: bool,
    scale: Callable[[Floats], Floats] = unscaled,
) -> Detections:
    """Fuse the boxes of each image, on several threads where there are many.

    Args:
        members: One table of detections a member, in any order of rows.
        fuse: The method; it is given the boxes of some images.
        weights: How much each member counts; None where all count the same.
        names: What to call the members in messages.
        score_threshold: Boxes whose own score, before weights, is below this take no part.
        class_agnostic: Whether boxes of different categories may be one object.
        scale: What is made of the weights first: `unscaled`, `shares` or `relative_to_largest`.

    Returns:
        The fused boxes, by image and then by score, highest first; equal scores by coordinates.

    Raises:
        EnsemblingError: No members, weights that do not fit, a box whose sides are the wrong way
            round, or masks that cannot be fused.
        TableError: A member is not a table of detections, or holds a value that is not a number.
    """
    from numba import get_num_threads

    called = member_names(names, len(members))
    tables = [_checked(member, name) for member, name in zip(members, called, strict=True)]

    def fuse_some(some: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, int]:
        return _fuse_some(some, called, fuse, weights, scale, score_threshold, class_agnostic)

    at_a_time = _images_at_a_time(tables)
    with ThreadPoolExecutor(min(get_num_threads(), len(at_a_time))) as threads:
        fused, n_flat = zip(*threads.map(fuse_some, at_a_time), strict=True)
    if any(n_flat):
        _logger.warning("%d boxes of no area were left out of the fusion", sum(n_flat))
    return Detections(fused[0] if len(fused) == 1 else pd.concat(fused, ignore_index=True))


def _checked(member: pd.DataFrame, name: str) -> pd.DataFrame:
    """A member's table in the types of the schema, in the order of its images.

    Raises:
        EnsemblingError: A box has its sides the wrong way round.
        TableError: It is not a table of detections, or holds a value that is not allowed.
    """
    if not all(
        column.name in member.columns and member[column.name].dtype == column.dtype
        for column in DETECTIONS.columns
    ):
        member = DETECTIONS.conform(member, where=name)
    score, x_min, y_min, x_max, y_max = (member[column].to_numpy() for column in ("score", *_EDGES))
    # What is not a number compares with nothing.
    sound = (score >= 0) & (score <= 1) & (x_min <= x_max) & (y_min <= y_max)
    sound &= (x_min > -np.inf) & (y_min > -np.inf) & (x_max < np.inf) & (y_max < np.inf)
    if not sound.all():
        _raise_fault(DETECTIONS.conform(member, where=name), name)
    if member["image_id"].is_monotonic_increasing:
        return member
    return member.sort_values("image_id", kind="stable")


def _raise_fault(member: pd.DataFrame, name: str) -> None:
    for low, high in (("x_min", "x_max"), ("y_min", "y_max")):
        bad = (member[low] > member[high]).to_numpy()
        if bad.any():
            row = int(bad.argmax())
            raise EnsemblingError(
                f"{name}: row {row}, image {member['image_id'][row]}: {low} "
                f"{member[low][row]:g} is above {high} {member[high][row]:g}; boxes are "
                "x_min, y_min, x_max, y_max"
            )


def _images_at_a_time(tables: Sequence[pd.DataFrame]) -> list[list[pd.DataFrame]]:
    """Deal the images out, with all their boxes, about `BOXES_AT_A_TIME` boxes at a time."""
    image_ids = [table["image_id"].to_numpy() for table in tables]
    n_parts = sum(map(len, tables)) // BOXES_AT_A_TIME + 1
    longest = max(image_ids, key=len)
    # A member's images are taken for a sample of all members'.
    first = np.unique(longest[np.arange(1, n_parts) * len(longest) // n_parts])
    bounds = [[0, *np.searchsorted(ids, first).tolist(), len(ids)] for ids in image_ids]
    return [
        [table.iloc[own[part] : own[part + 1]] for table, own in zip(tables, bounds, strict=True)]
        for part in range(len(first) + 1)
    ]


def _fuse_some(
    tables: Sequence[pd.DataFrame],
    names: Sequence[str],
    fuse: Callable[[Boxes], Fused],
    weights: Weights | None,
    scale: Callable[[Floats], Floats],
    score_threshold: float,
    class_agnostic: bool,
) -> tuple[pd.DataFrame, int]:
    """Fuse the boxes of some images; also how many boxes were left out for having no area."""
    columns = {
        name: np.concatenate([table[name].to_numpy() for table in tables])
        for name in DETECTIONS.names
    }
    edges = tuple(columns[name] for name in _EDGES)
    member = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    # `factorize` looks ids up in a hash table; numpy's `unique` sorts, which takes longer.
    image, image_ids = pd.factorize(columns["image_id"], sort=True)
    category, category_ids = pd.factorize(columns["category_id"], sort=True)
    matrix = scale(_weight_matrix(weights, names, category_ids))
    weight = matrix[category, member]
    score = columns["score"] * weight
    takes_part = (columns["score"] >= score_threshold) & (weight > 0)
    has_area = (edges[2] - edges[0]) * (edges[3] - edges[1]) > 0

    group = image if class_agnostic else image * len(category_ids) + category
    row = _in_order(np.flatnonzero(takes_part & has_area), group, score, (*edges, category, weight))
    boxes = Boxes(
        offsets=np.append(np.flatnonzero(np.diff(group[row], prepend=-1)), len(row)),
        row=row,
        member=member[row],
        image=image[row],
        category=category[row],
        weight=weight[row],
        score=score[row],
        edges=tuple(edge[row] for edge in edges),
        weights=matrix,
    )
    fused = fuse(boxes)

    image = boxes.image[fused.best]
    order = _in_order(np.arange(len(image)), image, fused.score, (*fused.edges, fused.category))
    values = (image_ids[image], category_ids[fused.category], fused.score, *fused.edges)
    result = pd.DataFrame(
        {name: own[order] for name, own in zip(DETECTIONS.names, values, strict=True)}, copy=False
    )
    if any(SEGMENTATION in table.columns for table in tables):
        result[SEGMENTATION] = _fused_masks(result, tables, names, boxes, fused, order)
    return result, int((takes_part & ~has_area).sum())


def _in_order(rows: Ints, group: Ints, score: Floats, ties: Sequence[NDArray[Any]]) -> Ints:
    """Some rows by group, then by score, highest first.

    Equal scores are put in the order of `ties`, coordinates above all, so that neither the order
    of the members nor that of their rows matters.
    """
    # One number, which sorts many times faster than a table: the group less up to a half.
    number = group[rows] - score[rows] / (2 * score.max(initial=0.0) or 1.0)
    order = np.argsort(number)
    number, rows = number[order], rows[order]
    same = number[1:] == number[:-1]
    if same.any():
        # Scores are equal, or so close that this number is: these few are sorted by everything.
        tied = np.append(same, False) | np.append(False, same)
        some = rows[tied]
        keys = (some, *(tie[some] for tie in reversed(ties)), -score[some], group[some])
        rows[tied] = some[np.lexsort(keys)]
    return rows


def _weight_matrix(weights: Weights | None, names: Sequence[str], category_ids: Ints) -> Floats:
    """(categories, members) weights.

    Raises:
        EnsemblingError: The weights do not fit, or a category that occurs has none.
    """
    if not isinstance(weights, Mapping):
        return np.tile(member_weights(weights, names), (len(category_ids), 1))
    matrix = np.ones((len(category_ids), len(names)))
    for number, category_id in enumerate(category_ids.tolist()):
        if category_id not in weights:
            raise EnsemblingError(
                f"category {category_id} has no weights; give it one weight a member"
            )
        try:
            matrix[number] = member_weights(weights[category_id], names)
        except EnsemblingError as error:
            raise EnsemblingError(f"category {category_id}: {error}") from error
    return matrix


def _fused_masks(
    fused_table: pd.DataFrame,
    tables: Sequence[pd.DataFrame],
    names: Sequence[str],
    boxes: Boxes,
    fused: Fused,
    order: Ints,
) -> pd.Series:
    """The masks of the fused boxes; see `fused_segmentations`."""
    texts = [
        table[SEGMENTATION].astype("string")
        if SEGMENTATION in table.columns
        else pd.Series(pd.NA, index=table.index, dtype="string")
        for table in tables
    ]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    voters = np.argsort(boxes.row)
    voters = voters[fused.cluster[voters] >= 0]
    return fused_segmentations(
        fused_table,
        place[fused.cluster[voters]],
        pd.concat(texts, ignore_index=True).iloc[boxes.row[voters]],
        boxes.score[voters],
        np.asarray(names)[boxes.member[voters]],
    )
