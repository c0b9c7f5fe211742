"""Non-maximum weighted: the best box, moved by those that lie on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np

from recycling.ensembling.boxes.tables import (
    Boxes,
    Fused,
    Ints,
    fuse_images,
    relative_to_largest,
)
from recycling.ensembling.members import check_share
from recycling.ensembling.methods import (
    BoxFusion,
    Calibrate,
    MemberWeights,
    Searched,
    Share,
    box_method,
)
from recycling.predictions import Detections


class NonMaximumWeightedSettings(BoxFusion):
    """The best box on an object moves to the mean of those that lie on it.

    Attributes:
        iou_threshold: Boxes that overlap by more than this are one object.
        score_threshold: Boxes below this score take no part.
        class_agnostic: Whether boxes of different categories may be one object.
        weights: How much each member counts.
        calibrate: How the members' scores are made comparable before they are fused.
    """

    method: Literal["non_maximum_weighted"] = "non_maximum_weighted"
    iou_threshold: Annotated[Share, Searched(0.4, 0.8, 0.05, first=0.55)] = 0.55
    # Boxes of low scores rarely cost mAP anything, so little above 0 is tried.
    score_threshold: Annotated[Share, Searched(0.0, 0.1, 0.01, first=0.0)] = 0.0
    class_agnostic: bool = False
    weights: MemberWeights = "equal"
    calibrate: Calibrate = "none"


@box_method("non_maximum_weighted", NonMaximumWeightedSettings, weights_are_votes=False)
def non_maximum_weighted(
    members: Sequence[Detections],
    *,
    weights: Sequence[float] | None = None,
    iou_threshold: float = 0.55,
    score_threshold: float = 0.0,
    class_agnostic: bool = False,
    names: Sequence[str] | None = None,
) -> Detections:
    """Move the best box on an object to the mean of those that lie on it (Zhou et al., CAD, 2017).

    On each image and for each category, boxes are taken by weighted score, highest first. A box
    joins the best box that it overlaps most, if by more than `iou_threshold`, or else is one
    itself. The result has the best box's score and the mean of the boxes that joined it, weighted
    by weighted score and by how much each overlaps the best. `weighted_boxes_fusion` differs: there
    the mean moves as boxes join, overlap does not weigh, and the score tells of all members.

    The result is that of ``non_maximum_weighted`` in the ``ensemble-boxes`` package (1.0.9), but

    - boxes are in pixels and nothing is clipped: a box may reach over the image's edge;
    - where scores are all 0, the best box stays as it is; the package divides 0 by 0;
    - among equal scores the box with the lowest `x_min` is taken first (then `y_min`, `x_max`,
      `y_max`, `category_id`), so that neither the order of the members nor that of their rows
      alters the result;
    - a member of weight 0 is as if it were not there;
    - means and scores are of float64, where the package rounds them to float32, and a box that
      none joins stays exactly what it was.

    Masks (a column `segmentation`) fuse along, as `weighted_boxes_fusion` does it.

    Args:
        members: One table of detections a member, in any order of rows.
        weights: How much each member counts, as `weighted_boxes_fusion` takes them: scores are
            multiplied by the member's weight, divided by the largest, so that only the ratio
            matters. None where all count the same.
        iou_threshold: Boxes that overlap by more than this are one object, 0 to 1.
        score_threshold: Boxes whose own score, before weights, is below this take no part, 0 to 1.
        class_agnostic: Boxes of all categories join one another; the result has the best box's
            category.
        names: What to call the members in messages.

    Returns:
        The boxes, by image and then by score, highest first; equal scores by coordinates.

    Raises:
        EnsemblingError: As `weighted_boxes_fusion` does.
        TableError: As `weighted_boxes_fusion` does.

    Example:
        >>> import pandas as pd
        >>> from recycling.predictions import DETECTIONS
        >>> rows = [[7, 1, 0.8, 0.0, 0.0, 10.0, 10.0], [7, 1, 0.4, 0.0, 0.0, 10.0, 6.0]]
        >>> fused = non_maximum_weighted([pd.DataFrame(rows, columns=DETECTIONS.names)])
        >>> fused[["score", "y_max"]].round(2).to_numpy().tolist()
        [[0.8, 9.08]]
    """
    check_share("iou_threshold", iou_threshold)
    check_share("score_threshold", score_threshold)

    from recycling.ensembling.boxes.non_maximum_weighted.kernel import cluster_boxes

    def fuse(boxes: Boxes) -> Fused:
        n_boxes = len(boxes.row)
        cluster: Ints = np.empty(n_boxes, np.int64)
        best: Ints = np.empty(n_boxes, np.int64)
        edges = np.empty((4, n_boxes))
        n_clusters = cluster_boxes(
            boxes.offsets, boxes.score, *boxes.edges, float(iou_threshold), cluster, best, edges
        )
        best = best[:n_clusters]
        return Fused(
            cluster, best, boxes.category[best], boxes.score[best], tuple(edges[:, :n_clusters])
        )

    return fuse_images(
        members,
        fuse,
        weights=weights,
        scale=relative_to_largest,
        names=names,
        score_threshold=score_threshold,
        class_agnostic=class_agnostic,
    )
