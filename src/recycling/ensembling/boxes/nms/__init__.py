"""Non-maximum suppression: the best of the boxes that lie on one another stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np

from recycling.ensembling.boxes.tables import (
    Boxes,
    Fused,
    Ints,
    fuse_images,
    kept,
    shares,
    unscaled,
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


class NMSSettings(BoxFusion):
    """The best of the boxes that lie on one another stays, the others go.

    Attributes:
        iou_threshold: A box that overlaps a better one by more than this goes.
        score_threshold: Boxes below this score take no part.
        class_agnostic: Whether a box may go because of a better one of another category.
        weights: How much each member counts.
        calibrate: How the members' scores are made comparable before they are fused.
    """

    method: Literal["nms"] = "nms"
    iou_threshold: Annotated[Share, Searched(0.4, 0.8, 0.05, first=0.55)] = 0.55
    score_threshold: Share = 0.0
    class_agnostic: bool = False
    weights: MemberWeights = "equal"
    calibrate: Calibrate = "none"


@box_method("nms", NMSSettings, weights_are_votes=False)
def nms(
    members: Sequence[Detections],
    *,
    weights: Sequence[float] | None = None,
    iou_threshold: float = 0.55,
    score_threshold: float = 0.0,
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
            multiplied by the member's share of all weights, in which folds of a model, such as
            ``yolox.fold0``, count once by their mean. None leaves scores as they are.
        class_agnostic: A box may go because of a better one of another category.
        names: What to call the members in messages; those of folds name their model.

    Returns:
        The boxes that stay, by image and then by score, highest first; equal scores by
        coordinates.

    Raises:
        EnsemblingError: As `weighted_boxes_fusion` does.
        TableError: As `weighted_boxes_fusion` does.
    """
    check_share("iou_threshold", iou_threshold)
    check_share("score_threshold", score_threshold)

    from recycling.ensembling.boxes.nms.kernel import keep_best

    def fuse(boxes: Boxes) -> Fused:
        best: Ints = np.empty(len(boxes.row), np.int64)
        best = best[: keep_best(boxes.offsets, *boxes.edges, float(iou_threshold), best)]
        return kept(boxes, best, boxes.score[best])

    return fuse_images(
        members,
        fuse,
        weights=weights,
        scale=unscaled if weights is None else shares,
        names=names,
        score_threshold=score_threshold,
        class_agnostic=class_agnostic,
    )
