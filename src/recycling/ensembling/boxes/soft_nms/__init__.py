"""Soft-NMS: boxes that lie on a better one lose score, not their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
from pydantic import Field, model_validator

from recycling.ensembling.boxes.tables import (
    Boxes,
    Fused,
    Ints,
    fuse_images,
    kept,
    shares,
    unscaled,
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

Decay: TypeAlias = Literal["gaussian", "linear"]


class SoftNMSSettings(BoxFusion):
    """Boxes that lie on a better one keep their place and lose score.

    Attributes:
        decay: How an overlap lowers a score.
        iou_threshold: With ``linear``, boxes that overlap by no more than this keep their scores.
        sigma: With ``gaussian``, how much overlap is forgiven.
        score_threshold: Boxes whose score, weighted and lowered, is not above this go.
        class_agnostic: Whether boxes of all categories lower one another's scores.
        weights: How much each member counts.
        calibrate: How the members' scores are made comparable before they are fused.
    """

    method: Literal["soft_nms"] = "soft_nms"
    decay: Decay = "gaussian"
    iou_threshold: Annotated[
        Share, Searched(0.3, 0.7, 0.05, first=0.5, only_with=("decay", "linear"))
    ] = 0.55
    sigma: Annotated[
        float, Field(gt=0), Searched(0.1, 1.0, 0.1, first=0.5, only_with=("decay", "gaussian"))
    ] = 0.5
    score_threshold: Annotated[Share, Searched(0.0, 0.01, 0.001, first=0.001)] = 0.0
    class_agnostic: bool = False
    weights: MemberWeights = "equal"
    calibrate: Calibrate = "none"

    @model_validator(mode="after")
    def _decay_takes_what_is_set(self) -> SoftNMSSettings:
        unused = "iou_threshold" if self.decay == "gaussian" else "sigma"
        if getattr(self, unused) != type(self).model_fields[unused].default:
            other = "linear" if self.decay == "gaussian" else "gaussian"
            raise ValueError(
                f"{unused!r} means nothing to decay {self.decay!r}, only to {other!r}; "
                "leave it out or choose that decay"
            )
        return self


@box_method("soft_nms", SoftNMSSettings, weights_are_votes=False)
def soft_nms(
    members: Sequence[Detections],
    *,
    weights: Sequence[float] | None = None,
    decay: Decay = "gaussian",
    iou_threshold: float = 0.55,
    sigma: float = 0.5,
    score_threshold: float = 0.0,
    class_agnostic: bool = False,
    names: Sequence[str] | None = None,
) -> Detections:
    """Lower the scores of boxes that lie on better ones (Bodla et al., ICCV 2017).

    On each image and for each category, the box with the highest score is taken, the scores of
    those left are lowered by how much they overlap it, and so on, until no score is above
    `score_threshold`. Objects that stand close together keep a box each, where NMS keeps one.

    The result is that of ``soft_nms`` in the ``ensemble-boxes`` package (1.0.9), but

    - a box has its lowered score, as in the paper; the package uses it to choose the boxes and
      then gives them the scores that they came with;
    - boxes are in pixels and nothing is clipped: a box may reach over the image's edge;
    - among equal scores the box is taken first whose score was the highest to begin with, then
      that with the lowest `x_min`, `y_min`, `x_max`, `y_max` and `category_id`, so that neither
      the order of the members nor that of their rows alters the result;
    - a member of weight 0 is as if it were not there, and no boxes at all are not an error;
    - the members are left as they were; the package writes weighted scores into its input.

    Args:
        members: One table of detections a member, in any order of rows.
        weights: How much each member counts, as `weighted_boxes_fusion` takes them: scores are
            multiplied by the member's share of all weights, in which folds of a model, such as
            ``yolox.fold0``, count once by their mean. None leaves scores as they are.
        decay: What an overlap does to a score. ``linear``: times 1 - iou. ``gaussian``: times
            exp(-iou² / sigma), the package's default.
        iou_threshold: ``linear`` only: boxes that overlap by no more than this are let alone, 0 to
            1.
        sigma: ``gaussian`` only: how much overlap is forgiven, above 0.
        score_threshold: Boxes whose score, weighted and lowered, is not above this go, 0 to 1.
        class_agnostic: Boxes of all categories lower one another's scores.
        names: What to call the members in messages; those of folds name their model.

    Returns:
        The boxes that stay, each with its mask if it has one, by image and then by score, highest
        first; equal scores by coordinates.

    Raises:
        EnsemblingError: As `weighted_boxes_fusion` does.
        TableError: As `weighted_boxes_fusion` does.

    Example:
        >>> import pandas as pd
        >>> from recycling.predictions import DETECTIONS
        >>> rows = [[7, 1, 0.9, 0.0, 0.0, 10.0, 10.0], [7, 1, 0.8, 0.0, 0.0, 10.0, 6.0]]
        >>> stayed = soft_nms([pd.DataFrame(rows, columns=DETECTIONS.names)], decay="linear")
        >>> stayed["score"].round(2).tolist()
        [0.9, 0.32]
    """
    decays = get_args(Decay)
    if decay not in decays:
        raise EnsemblingError(f"decay {decay!r}; it is one of {', '.join(decays)}")
    check_share("iou_threshold", iou_threshold)
    check_share("score_threshold", score_threshold)
    if not 0 < sigma < np.inf:
        raise EnsemblingError(f"sigma is {sigma:g}; it should be a number above 0")

    from recycling.ensembling.boxes.soft_nms.kernel import lower_scores

    def fuse(boxes: Boxes) -> Fused:
        score = boxes.score.copy()
        picked: Ints = np.empty(len(boxes.row), np.int64)
        n_picked = lower_scores(
            boxes.offsets,
            score,
            *boxes.edges,
            decays.index(decay),
            float(iou_threshold),
            float(sigma),
            float(score_threshold),
            picked,
        )
        picked = picked[:n_picked]
        return kept(boxes, picked, score[picked])

    return fuse_images(
        members,
        fuse,
        weights=weights,
        scale=unscaled if weights is None else shares,
        names=names,
        score_threshold=0.0,
        class_agnostic=class_agnostic,
    )
