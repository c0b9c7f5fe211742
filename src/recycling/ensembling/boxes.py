"""Fusing the boxes of several detectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.box_tables import (
    Weights,
    box_tables,
    image_runs,
    raise_fault,
    run_kernel,
)
from recycling.ensembling.members import EnsemblingError, member_names, member_weights
from recycling.predictions import DETECTIONS, Detections

Confidence: TypeAlias = Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]

WORTH_THREADS = 50_000
"""Boxes from which on `soft_nms` and `non_maximum_weighted` are compiled for several threads."""

_logger = logging.getLogger(__name__)


def weighted_boxes_fusion(
    members: Sequence[Detections],
    *,
    weights: Weights | None = None,
    iou_threshold: float = 0.55,
    score_threshold: float = 0.0,
    confidence: Confidence = "avg",
    class_agnostic: bool = False,
    names: Sequence[str] | None = None,
) -> Detections:
    """Fuse boxes that lie on one another into their weighted mean (Solovyev et al., 2021).

    On each image and for each category, boxes are taken by weighted score, highest first. A box
    joins the cluster that it overlaps most, if by more than `iou_threshold`, or else begins one. A
    cluster's box is the mean of its members' boxes, weighted by score and member.

    The result is that of ``weighted_boxes_fusion`` in the ``ensemble-boxes`` package (1.0.9), but

    - boxes are in pixels and nothing is clipped: a box may reach over the picture's edge;
    - a score never leaves [0, 1] (its issues 40 and 43: with ``avg``, a heavy member that gives
      several boxes to one cluster lifts it above 1; here it is 1);
    - ``max`` divides by the largest weight (39) and only the ratio of the weights matters, whether
      or not they sum to less than one (38);
    - a cluster whose scores are all 0 keeps its first box, where the package divides 0 by 0;
    - a member of weight 0 is as if it were not there;
    - boxes of equal score are taken in the order of their coordinates, so that neither the order
      of the members nor that of their rows alters the result;
    - means are of float64, where the package rounds them to float32.

    Where members have masks (a column `segmentation` of COCO RLE as JSON text), these fuse along:
    the mask of a cluster is of the pixels that at least half of its votes are for, where each
    mask votes with its box's score times its member's weight, and a box without a mask does not.

    Boxes are read where they lie and each thread works on one image at a time. Beside the input,
    memory goes to the result, to where each image's rows begin, and, where an image's rows lie
    scattered over a table or category ids far apart, to a few numbers a row.

    Args:
        members: One table of detections a member, in any order of rows.
        weights: How much each member counts: one weight a member, or a mapping from each category
            id that occurs to that, for members that are good at some categories only. None where
            all count the same.
        iou_threshold: Boxes that overlap by more than this are one object, 0 to 1.
        score_threshold: Boxes below this score take no part.
        confidence: The score of a cluster. ``avg``: the mean score, times the share of the members
            that found it. ``max``: the highest. ``box_and_model_avg``: the weighted mean, times
            the weight of the members that found it. ``absent_model_aware_avg``: the weighted mean
            over boxes and those members that did not find it.
        class_agnostic: Boxes of all categories may be one object. Its category is the one with the
            highest sum of weighted scores in the cluster; of equals, the one of the better box.
        names: What to call the members in messages.

    Returns:
        The fused boxes, by image and then by score, highest first; equal scores by coordinates.

    Raises:
        EnsemblingError: No members, weights that do not fit, a setting out of range, a box whose
            sides are the wrong way round, or masks that cannot be fused.
        TableError: A member is not a table of detections, or holds a value that is not a number.

    Example:
        >>> import pandas as pd
        >>> from recycling.predictions import DETECTIONS
        >>> def one_box(score, x_min):
        ...     row = [[7, 1, score, x_min, 0.0, x_min + 10.0, 10.0]]
        ...     return pd.DataFrame(row, columns=DETECTIONS.names)
        >>> fused = weighted_boxes_fusion([one_box(0.9, 0.0), one_box(0.3, 1.0)])
        >>> fused[["score", "x_min", "x_max"]].round(2).to_numpy().tolist()
        [[0.6, 0.25, 10.25]]
    """
    modes = get_args(Confidence)
    if confidence not in modes:
        raise EnsemblingError(f"confidence {confidence!r}; it is one of {', '.join(modes)}")
    _check_share("iou_threshold", iou_threshold)
    _check_share("score_threshold", score_threshold)
    boxes = box_tables(members, weights, names)

    from recycling.ensembling import _fusion_kernels

    return run_kernel(
        boxes,
        _fusion_kernels.fuse,
        float(iou_threshold),
        float(score_threshold),
        modes.index(confidence),
        bool(class_agnostic),
    )


def nms(
    members: Sequence[Detections],
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    weights: Weights | None = None,
    class_agnostic: bool = False,
    names: Sequence[str] | None = None,
) -> Detections:
    """Keep, on each image and for each category, the best of the boxes that lie on one another.

    The result is that of ``nms`` in the ``ensemble-boxes`` package (1.0.9), but for the points
    about pixels, equal scores and weights of 0 that `weighted_boxes_fusion` lists. A mask stays
    with its box.

    Args:
        members: One table of detections a member, in any order of rows.
        iou_threshold: A box that overlaps a better one by more than this goes, 0 to 1.
        score_threshold: Boxes below this score take no part; before weights.
        weights: How much each member counts, as `weighted_boxes_fusion` takes them: scores are
            multiplied by the member's share of all weights. None leaves scores as they are.
        class_agnostic: A box may go because of a better one of another category.
        names: What to call the members in messages.

    Returns:
        The boxes that stay, by image and then by score, highest first; equal scores by
        coordinates.

    Raises:
        EnsemblingError: As `weighted_boxes_fusion` does.
        TableError: As `weighted_boxes_fusion` does.
    """
    _check_share("iou_threshold", iou_threshold)
    _check_share("score_threshold", score_threshold)
    boxes = box_tables(members, weights, names)
    if weights is not None:
        shares = boxes.kernel.weights / boxes.kernel.weights.sum(axis=1, keepdims=True)
        kernel = boxes.kernel._replace(weights=shares, scale=1 / shares.max())
        boxes = replace(boxes, kernel=kernel)

    from recycling.ensembling import _fusion_kernels

    return run_kernel(
        boxes,
        _fusion_kernels.suppress,
        float(iou_threshold),
        float(score_threshold),
        bool(class_agnostic),
    )


@dataclass(frozen=True)
class _Boxes:
    """The boxes of all members, one member after the other, and where each image's lie.

    Attributes:
        columns: What the kernels take, in their order; `_box_kernels` says what each is.
        image_ids: (images,), in order.
        box_pointer: (images + 1,), the room that each image's boxes need in an output.
        category_ids: (categories,), what the kernels' category numbers stand for.
    """

    columns: tuple[object, ...]
    image_ids: NDArray[np.int64]
    box_pointer: NDArray[np.int64]
    category_ids: NDArray[np.int64]


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise EnsemblingError(f"{name} is {value:g}; it should be from 0 to 1")


def _stack(
    members: Sequence[Detections], weights: Sequence[float] | None, names: Sequence[str] | None
) -> tuple[_Boxes, NDArray[np.float64]]:
    """The boxes of the members that count, and the weights of those."""
    called = member_names(names, len(members))
    counting = member_weights(weights, called)
    tables = _typed_tables(members, called)
    values = {
        name: np.concatenate([table[name].to_numpy() for table in tables])
        for name in DETECTIONS.names
    }
    if not _all_sound(values):
        raise_fault(tables, called)
    taking_part = counting > 0
    if not taking_part.all():
        counted = [member for member, counts in zip(members, taking_part, strict=True) if counts]
        return _stack(counted, list(counting[taking_part]), None)
    return _grouped(values, [len(table) for table in tables]), counting


def _typed_tables(members: Sequence[Detections], names: Sequence[str]) -> list[pd.DataFrame]:
    """The members with the columns and types of the schema; untouched where they have them."""
    wanted = [(column.name, column.dtype) for column in DETECTIONS.columns]
    return [
        member
        if all(
            name in member.columns and str(member[name].dtype) == dtype for name, dtype in wanted
        )
        else DETECTIONS.conform(member, where=where)
        for member, where in zip(members, names, strict=True)
    ]


def _all_sound(values: dict[str, NDArray[Any]]) -> bool:
    """Whether every value is one that the schema allows and every box has its sides in order.

    The schema's own check says which row is at fault, but costs as much as the fusion; it is asked
    only when this one, over all members at once, finds a fault.
    """
    score = values["score"]
    if len(score) == 0:
        return True
    # One value that is not finite makes the sum so.
    finite = all(np.isfinite(values[name].sum()) for name in DETECTIONS.names[2:])
    return bool(
        finite
        and score.min() >= 0
        and score.max() <= 1
        and (values["x_min"] <= values["x_max"]).all()
        and (values["y_min"] <= values["y_max"]).all()
    )


def _grouped(values: dict[str, NDArray[Any]], sizes: Sequence[int]) -> _Boxes:
    """Find each image's rows.

    Tables mostly hold one image after the other, so it is cheaper to sort the runs of rows that
    are on one image than the rows.

    Args:
        values: The columns of all members, one member after the other.
        sizes: How many rows each member has.
    """
    image_id = values["image_id"].astype(np.int64, copy=False)
    member_start = np.cumsum([0, *sizes])
    runs = image_runs(np.split(image_id, member_start[1:-1]))
    box_pointer = runs["box_pointer"]
    category, category_ids = _numbered(values["category_id"].astype(np.int64, copy=False))
    return _Boxes(
        columns=(
            runs["run_start"] + member_start[runs["run_member"]],
            runs["run_stop"] + member_start[runs["run_member"]],
            runs["run_member"],
            runs["run_pointer"],
            box_pointer,
            category,
            len(category_ids),
            *(values[name] for name in DETECTIONS.names[2:]),
        ),
        image_ids=runs["image_ids"],
        box_pointer=box_pointer,
        category_ids=category_ids,
    )


def _numbered(category_id: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Category ids as numbers from 0 up, and what the numbers stand for."""
    if len(category_id) == 0:
        return category_id, category_id
    low, high = int(category_id.min()), int(category_id.max())
    if high - low < 1000:
        # Few ids close together, as nearly always: gaps are cheaper than a sort.
        return category_id - low, np.arange(low, high + 1, dtype=np.int64)
    category_ids, numbers = np.unique(category_id, return_inverse=True)
    return numbers.astype(np.int64), category_ids


def _table(
    boxes: _Boxes,
    kept: NDArray[np.int64],
    flat: NDArray[np.int64],
    category: NDArray[np.int64],
    score: NDArray[np.float64],
    box: NDArray[np.float64],
) -> Detections:
    """The kernels' output as a table of detections."""
    from recycling.ensembling import _box_kernels

    n_flat = int(flat.sum())
    if n_flat:
        _logger.warning("%d boxes of no area were left out of the fusion", n_flat)
    category, score, box = _box_kernels.compact(boxes.box_pointer, kept, category, score, box)
    return Detections(
        pd.DataFrame(
            {
                "image_id": np.repeat(boxes.image_ids, kept),
                "category_id": boxes.category_ids[category],
                "score": score,
                "x_min": box[0],
                "y_min": box[1],
                "x_max": box[2],
                "y_max": box[3],
            }
        )
    )
