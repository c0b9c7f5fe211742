"""How images are split: what the configuration says."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recycling.splitting.axes import DEFAULT_AXES, Axis
from recycling.splitting.hold_out import HoldOut


class Splitting(BaseModel):
    """How images are split into folds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal[
        "random",
        "stratified",
        "stratified_group",
        "joint_labels",
        "multilabel_stratified",
        "multilabel_stratified_group",
        "hold_out",
    ] = Field(
        default="multilabel_stratified_group",
        description=(
            "random: groups at random; stratified: scikit-learn's, by each image's rarest "
            "category, for images without groups; stratified_group: scikit-learn's, by category; "
            "joint_labels: one label of category, area tercile and number of categories together; "
            "multilabel_stratified: iterative-stratification's, by all axes, for images without "
            "groups; multilabel_stratified_group: ours, by all axes, groups whole; "
            "hold_out: fold 0 is a fixed validation part, fold 1 the rest"
        ),
    )
    n_splits: int = Field(default=5, ge=2, description="number of folds; hold_out always has 2")
    seed: int = Field(default=0, ge=0)
    axes: tuple[Axis, ...] = Field(
        default=DEFAULT_AXES,
        description="what the multilabel methods and hold_out.share balance, and what is measured",
    )
    hold_out: HoldOut | None = Field(
        default=None, description="which images the method hold_out holds out"
    )
    near_duplicate_distance: int | None = Field(
        default=8,
        ge=0,
        le=64,
        description=(
            "images whose perceptual hashes differ in at most this many of 64 bits may not be in "
            "two folds; null: only images of the same bytes may not"
        ),
    )

    @field_validator("axes")
    @classmethod
    def _each_axis_once(cls, axes: tuple[str, ...]) -> tuple[str, ...]:
        if not axes:
            raise ValueError("there is no axis; name at least one")
        for axis in axes:
            if axes.count(axis) > 1:
                raise ValueError(f"axis {axis!r} is there {axes.count(axis)} times; name it once")
        return axes

    @model_validator(mode="after")
    def _hold_out_has_settings(self) -> Splitting:
        if self.method == "hold_out" and self.hold_out is None:
            raise ValueError(
                f"method 'hold_out' needs hold_out, with one of {', '.join(HoldOut.model_fields)}"
            )
        if self.method != "hold_out" and self.hold_out is not None:
            raise ValueError(
                f"hold_out has no effect on method {self.method!r}; remove it, or set "
                "method: hold_out"
            )
        return self
