"""Weighted boxes fusion: boxes that lie on one another become their weighted mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import numpy as np

from recycling.ensembling.boxes.tables import Boxes, Fused, Ints, fuse_images
from recycling.ensembling.boxes.weighted_boxes_fusion.confidence import (
    Confidence,
    cluster_scores,
    heaviest_category,
)
from recycling.ensembling.members import EnsemblingError, check_share
from recycling.ensembling.methods import (
    BoxFusion,
    Calibrate,
    MemberWeights,
    Searched,
    Share,
    box_method,
)
from recycling.predictions import Detections


class WeightedBoxesFusionSettings(BoxFusion):
    """Boxes that lie on one another become their mean, weighted by score and member.

    Attributes:
        iou_threshold: Boxes that overlap by more than this are one object.
        score_threshold: Boxes below this score take no part.
        confidence: How the score of a fused box is made.
        class_agnostic: Whether boxes of different categories may be one object.
        weights: How much each member counts.
        calibrate: How the members' scores are made comparable before they are fused.
    """

    method: Literal["weighted_boxes_fusion"] = "weighted_boxes_fusion"
    iou_threshold: Annotated[Share, Searched(0.4, 0.8, 0.05, first=0.55)] = 0.55
    # Boxes of low scores rarely cost mAP anything, so little above 0 is tried.
    score_threshold: Annotated[Share, Searched(0.0, 0.1, 0.01, first=0.0)] = 0.0
    confidence: Confidence = "avg"
    class_agnostic: bool = False
    weights: MemberWeights = "equal"
    calibrate: Calibrate = "none"


@box_method("weighted_boxes_fusion", WeightedBoxesFusionSettings)
def weighted_boxes_fusion(
    members: Sequence[Detections],
    *,
    weights: Sequence[float] | None = None,
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

    - boxes are in pixels and nothing is clipped: a box may reach over the image's edge;
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

    Each thread works on some images at a time, so that memory goes to the result and little else;
    a table that is not in the order of its images is sorted first.

    Args:
        members: One table of detections a member, in any order of rows.
        weights: (members,), how much each counts; None where all count the same.
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

    from recycling.ensembling.boxes.weighted_boxes_fusion.kernel import cluster_boxes

    def fuse(boxes: Boxes) -> Fused:
        n_boxes = len(boxes.row)
        cluster: Ints = np.empty(n_boxes, np.int64)
        best: Ints = np.empty(n_boxes, np.int64)
        edges = np.empty((4, n_boxes))
        n_clusters = cluster_boxes(
            boxes.offsets, boxes.score, *boxes.edges, float(iou_threshold), cluster, best, edges
        )
        best = best[:n_clusters]
        category = heaviest_category(boxes, cluster) if class_agnostic else boxes.category[best]
        score = cluster_scores(confidence, boxes, cluster, best)
        return Fused(cluster, best, category, score, tuple(edges[:, :n_clusters]))

    return fuse_images(
        members,
        fuse,
        weights=weights,
        names=names,
        score_threshold=score_threshold,
        class_agnostic=class_agnostic,
    )
