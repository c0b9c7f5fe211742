"""Fusing the boxes of several detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

from recycling.ensembling.boxes.tables import (
    Weights,
    box_tables,
    run_kernel,
)
from recycling.ensembling.members import EnsemblingError, check_share
from recycling.predictions import Detections

Confidence: TypeAlias = Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]


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
    check_share("iou_threshold", iou_threshold)
    check_share("score_threshold", score_threshold)
    boxes = box_tables(members, weights, names)

    from recycling.ensembling.boxes import _kernels

    return run_kernel(
        boxes,
        _kernels.fuse,
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
    check_share("iou_threshold", iou_threshold)
    check_share("score_threshold", score_threshold)
    boxes = box_tables(members, weights, names)
    if weights is not None:
        shares = boxes.kernel.weights / boxes.kernel.weights.sum(axis=1, keepdims=True)
        kernel = boxes.kernel._replace(weights=shares, scale=1 / shares.max())
        boxes = replace(boxes, kernel=kernel)

    from recycling.ensembling.boxes import _kernels

    return run_kernel(
        boxes,
        _kernels.suppress,
        float(iou_threshold),
        float(score_threshold),
        bool(class_agnostic),
    )
