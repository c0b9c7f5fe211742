"""From the members' tables to arrays in the order in which the methods take boxes, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.boxes.instance_masks import SEGMENTATION, fused_segmentations
from recycling.ensembling.members import EnsemblingError, member_names, member_weights, model_of
from recycling.predictions import DETECTIONS, Detections
from recycling.predictions.ordering import order_by_score

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

Columns: TypeAlias = dict[str, NDArray[Any]]
"""The values of a table of detections, by column."""

Scale: TypeAlias = Callable[[Floats, Sequence[str]], Floats]
"""What is made of (members,) weights before they count, given the members' names."""

BOXES_AT_A_TIME = 16_384
"""About how many boxes a thread works on at a time: what it makes of them stays in its cache, and
each array is small enough to be given the memory of the one before."""

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
        weights: (members,), how much each member counts.
        image_ids: (images,), what the indices of images stand for.
        category_ids: (categories,), what the indices of categories stand for.
        n_flat: How many boxes take no part because they have no area.
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
    image_ids: Ints
    category_ids: Ints
    n_flat: int


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


def unscaled(weights: Floats, _: Sequence[str]) -> Floats:
    """Weights as they are."""
    return weights


def shares(weights: Floats, names: Sequence[str]) -> Floats:
    """(members,) weights, as shares of all models' weights.

    Folds of a model count once, by their mean: out of fold it has one member, on test images one a
    fold, and scores stay on one scale.

    >>> shares(np.array([2.0, 2.0, 1.0]), ["yolox.fold0", "yolox.fold1", "fcos.fold0"]).round(2)
    array([0.67, 0.67, 0.33])
    """
    models = [model_of(name) for name in names]
    folds = np.array([models.count(model) for model in models])
    return np.asarray(weights / (weights / folds).sum())


def relative_to_largest(weights: Floats, _: Sequence[str]) -> Floats:
    """(members,) weights, divided by the largest."""
    return np.asarray(weights / weights.max())


def fuse_images(
    members: Sequence[Detections],
    fuse: Callable[[Boxes], Fused],
    *,
    weights: Sequence[float] | None,
    names: Sequence[str] | None,
    score_threshold: float,
    class_agnostic: bool,
    scale: Scale = unscaled,
) -> Detections:
    """Fuse the boxes of each image, on several threads where there are many.

    Args:
        members: One table of detections a member, in any order of rows.
        fuse: The method; it is given the boxes of some images.
        weights: (members,), how much each counts; None where all count the same.
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
    masked = any(SEGMENTATION in member.columns for member in members)
    columns = [_columns(one, name, masked) for one, name in zip(members, called, strict=True)]
    counting = scale(member_weights(weights, called), called)

    def fuse_some(some: Sequence[Columns]) -> tuple[Columns, int]:
        boxes = _best_first(some, counting, score_threshold, class_agnostic)
        fused = _by_score(boxes, fuse(boxes))
        result = _result(boxes, fused)
        if masked:
            segmentation = np.concatenate([own[SEGMENTATION] for own in some])
            result[SEGMENTATION] = _fused_masks(segmentation, called, boxes, fused)
        return result, boxes.n_flat

    at_a_time = _images_at_a_time(columns)
    with ThreadPoolExecutor(min(get_num_threads(), len(at_a_time))) as threads:
        results, n_flat = zip(*threads.map(fuse_some, at_a_time), strict=True)
    if any(n_flat):
        _logger.warning("%d boxes of no area were left out of the fusion", sum(n_flat))
    table = pd.DataFrame(
        {name: np.concatenate([own[name] for own in results]) for name in results[0]}, copy=False
    )
    return Detections(table.astype({SEGMENTATION: "string"}) if masked else table)


def _columns(member: pd.DataFrame, name: str, masked: bool) -> Columns:
    """A member's columns, in the order of its images.

    Raises:
        EnsemblingError: A box has its sides the wrong way round.
        TableError: It is not a table of detections, or holds a value that is not allowed.
    """
    schema = DETECTIONS.columns
    held = {column.name: member[column.name] for column in schema if column.name in member}
    if any(column.name not in held or held[column.name].dtype != column.dtype for column in schema):
        member = DETECTIONS.conform(member, where=name)
        held = {column: member[column] for column in DETECTIONS.names}
    columns: Columns = {column: values.to_numpy() for column, values in held.items()}
    score, x_min, y_min, x_max, y_max = (columns[column] for column in ("score", *_EDGES))
    # What is not a number compares with nothing.
    sound = (score >= 0) & (score <= 1) & (x_min <= x_max) & (y_min <= y_max)
    sound &= (x_min > -np.inf) & (y_min > -np.inf) & (x_max < np.inf) & (y_max < np.inf)
    if not sound.all():
        _raise_fault(DETECTIONS.conform(member, where=name), name)
    if masked:
        none = pd.Series(pd.NA, index=member.index)
        texts = member.get(SEGMENTATION, none).astype("string")
        columns[SEGMENTATION] = texts.astype(object).where(texts.notna(), None).to_numpy()
    if not held["image_id"].is_monotonic_increasing:
        order = np.argsort(columns["image_id"], kind="stable")
        columns = {column: values[order] for column, values in columns.items()}
    return columns


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


def _images_at_a_time(members: Sequence[Columns]) -> list[list[Columns]]:
    """Deal the images out, with all their boxes, about `BOXES_AT_A_TIME` boxes at a time."""
    image_ids = [columns["image_id"] for columns in members]
    n_parts = sum(map(len, image_ids)) // BOXES_AT_A_TIME + 1
    # The images of the longest table are taken for a sample of all.
    longest = max(image_ids, key=len)
    first_ids = np.unique(longest[np.arange(1, n_parts) * len(longest) // n_parts])
    starts = [[0, *np.searchsorted(ids, first_ids).tolist(), len(ids)] for ids in image_ids]
    return [
        [
            {name: values[own[part] : own[part + 1]] for name, values in columns.items()}
            for columns, own in zip(members, starts, strict=True)
        ]
        for part in range(len(first_ids) + 1)
    ]


def _best_first(
    members: Sequence[Columns], weights: Floats, score_threshold: float, class_agnostic: bool
) -> Boxes:
    """The members' boxes on some images that take part, group by group and the best first."""
    columns = {name: np.concatenate([own[name] for own in members]) for name in DETECTIONS.names}
    edges = tuple(columns[name] for name in _EDGES)
    member = np.repeat(np.arange(len(members)), [len(own["score"]) for own in members])
    # `factorize` looks ids up in a hash table; numpy's `unique` sorts, which takes longer.
    image, image_ids = pd.factorize(columns["image_id"], sort=True)
    category, category_ids = pd.factorize(columns["category_id"], sort=True)
    weight = weights[member]
    score = columns["score"] * weight

    takes_part = (columns["score"] >= score_threshold) & (weight > 0)
    has_area = (edges[2] - edges[0]) * (edges[3] - edges[1]) > 0
    group = image if class_agnostic else image * len(category_ids) + category
    row = order_by_score(
        np.flatnonzero(takes_part & has_area), group, score, (*edges, category, weight)
    )
    return Boxes(
        offsets=np.append(np.flatnonzero(np.diff(group[row], prepend=-1)), len(row)),
        row=row,
        member=member[row],
        image=image[row],
        category=category[row],
        weight=weight[row],
        score=score[row],
        edges=tuple(edge[row] for edge in edges),
        weights=weights,
        image_ids=image_ids,
        category_ids=category_ids,
        n_flat=int((takes_part & ~has_area).sum()),
    )


def _by_score(boxes: Boxes, fused: Fused) -> Fused:
    """Fused boxes by image and then by score, highest first; equal scores by coordinates."""
    every = np.arange(len(fused.best))
    image = boxes.image[fused.best]
    order = order_by_score(every, image, fused.score, (*fused.edges, fused.category))
    place = np.full(len(order) + 1, -1)  # the last is for the boxes of no cluster, whose is -1
    place[order] = every
    return Fused(
        cluster=place[fused.cluster],
        best=fused.best[order],
        category=fused.category[order],
        score=fused.score[order],
        edges=tuple(edge[order] for edge in fused.edges),
    )


def _result(boxes: Boxes, fused: Fused) -> Columns:
    """The columns of the table of fused boxes."""
    image_id = boxes.image_ids[boxes.image[fused.best]]
    category_id = boxes.category_ids[fused.category]
    values = (image_id, category_id, fused.score, *fused.edges)
    return dict(zip(DETECTIONS.names, values, strict=True))


def _fused_masks(
    segmentation: NDArray[np.object_], names: Sequence[str], boxes: Boxes, fused: Fused
) -> NDArray[np.object_]:
    """The masks of the fused boxes; see `fused_segmentations`."""
    voters = np.argsort(boxes.row)
    voters = voters[fused.cluster[voters] >= 0]
    return fused_segmentations(
        boxes.image_ids[boxes.image[fused.best]],
        fused.cluster[voters],
        segmentation[boxes.row[voters]],
        boxes.score[voters],
        np.asarray(names)[boxes.member[voters]],
    )
