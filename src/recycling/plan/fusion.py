"""How the members of an ensemble are fused, as a user says it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Weight: TypeAlias = Annotated[float, Field(ge=0)]
Weights: TypeAlias = Literal["equal", "score"] | dict[str, Weight]
"""``equal``, ``score`` (a member's own on what it has not seen), or a number for each member."""


class BoxFusion(BaseModel):
    """How the boxes of the members are fused.

    Attributes:
        method: Weighted boxes fusion, non-maximum suppression, its soft form, or non-maximum
            weighted.
        iou_threshold: Boxes that overlap by more than this are one object.
        score_threshold: Boxes below this score take no part; with ``soft_nms``, those that fall
            below it go.
        confidence: The score of a fused box, ``weighted_boxes_fusion`` only.
        decay: How ``soft_nms`` lowers scores.
        sigma: How steeply it does where `decay` is ``gaussian``.
        class_agnostic: Whether boxes of different categories may be one object.
        weights: How much each member counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["weighted_boxes_fusion", "nms", "soft_nms", "non_maximum_weighted"] = (
        "weighted_boxes_fusion"
    )
    iou_threshold: Share = 0.55
    score_threshold: Share = 0.0
    confidence: Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"] = "avg"
    decay: Literal["linear", "gaussian"] = "gaussian"
    sigma: float = Field(0.5, gt=0)
    class_agnostic: bool = False
    weights: Weights = "equal"


class MaskFusion(BaseModel):
    """How the masks of the members are fused.

    Attributes:
        method: With ``hard_vote`` every pixel has the label that most members give it, ties go to
            the better-ranked member; with ``soft_vote`` the one that they hold most likely on
            average, for which each has to predict probabilities.
        weights: How much each member counts, ``soft_vote`` only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["hard_vote", "soft_vote"] = "hard_vote"
    weights: Weights = "equal"

    @model_validator(mode="after")
    def _weights_are_of_soft_votes(self) -> MaskFusion:
        if self.method == "hard_vote" and self.weights != "equal":
            raise ValueError("'weights' means nothing to 'hard_vote', only to soft_vote")
        return self


class ClassFusion(BaseModel):
    """How the class probabilities of the members are fused.

    Attributes:
        method: The mean, the geometric mean, the mean of ranks, the class that most members hold
            most likely, or a regression that learns on out-of-fold predictions whom to believe.
        weights: How much each member counts; not for ``hard_vote`` and ``stacking``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["mean", "geometric", "rank", "hard_vote", "stacking"] = "mean"
    weights: Weights = "equal"


class Search(BaseModel):
    """How an ensemble is searched for, on out-of-fold predictions.

    Attributes:
        trials: How many ensembles are tried on all parts and, for an honest gain, without each.
        seconds: After how many no further one is begun; None where only their number counts.
        seed: Of what is drawn.
        parts: Into how many parts a single fold is dealt.
        cls: The methods for classes that are tried; None for all.
        det: The same for boxes.
        seg: The same for masks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int = Field(100, ge=1)
    seconds: float | None = Field(None, ge=0)
    seed: int = Field(0, ge=0)
    parts: int = Field(5, ge=2)
    cls: tuple[str, ...] | None = None
    det: tuple[str, ...] | None = None
    seg: tuple[str, ...] | None = None


def model_of(member: str) -> str:
    """The model that a member is one fold of, or the name that its file was dropped in by."""
    return member.rsplit(".", 1)[0]
