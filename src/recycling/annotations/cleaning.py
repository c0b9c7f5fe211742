"""Clean annotations by rules from the configuration, with an audit row for every change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, get_args

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recycling.annotations import category_rules, rules
from recycling.annotations.audit import combined
from recycling.annotations.core import ANNOTATIONS, CATEGORIES, IMAGES, Annotations

RuleName = Literal[
    "fix_categories",
    "relabel",
    "drop_bad_images",
    "drop_duplicate_images",
    "drop_degenerate_boxes",
    "clip_boxes",
    "recompute_area",
    "drop_area_range",
    "group_near_duplicates",
]


class Rule(BaseModel):
    """A cleaning rule that can be switched off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True


class FixCategories(Rule):
    """Put category names right, merge categories, and put them in order."""

    names: dict[str, str] = Field(default={}, description="misspelt name: right name")
    categories: dict[str, tuple[str, ...]] = Field(
        default={}, description="category to have: names (put right) of those merged into it"
    )
    unmapped: Literal["drop", "error", "keep"] = Field(
        default="error", description="what to do with names that `categories` does not mention"
    )
    order: tuple[str, ...] = Field(
        default=(), description="names in the order of class indices; others follow"
    )

    @field_validator("categories")
    @classmethod
    def _each_source_once(cls, mapping: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        targets: dict[str, str] = {}
        for target, sources in mapping.items():
            for name in sources:
                if targets.setdefault(name, target) != target:
                    raise ValueError(f"{name!r} is under both {targets[name]!r} and {target!r}")
        return mapping


class RelabelList(BaseModel):
    """Annotations that get another category for one reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str = Field(min_length=1)
    annotation_ids: tuple[int, ...]
    category: str = Field(description="the right category's name")
    enabled: bool = True


class Relabel(Rule):
    """Give listed annotations another category."""

    lists: tuple[RelabelList, ...] = ()


class DropBadImages(Rule):
    """Drop images with a problem, and what is annotated on them."""

    problems: tuple[
        Literal["missing", "unreadable", "truncated", "too_large", "size_mismatch"], ...
    ] = ("missing", "unreadable", "truncated", "too_large")


class DropDuplicateImages(Rule):
    """Of images with the same bytes keep the one of the lowest id."""


class DropDegenerateBoxes(Rule):
    """Drop boxes without width or height."""

    min_side: float = Field(default=0, ge=0, description="pixels; smaller boxes are dropped too")


class ClipBoxes(Rule):
    """Clip boxes to the picture, and drop those wholly outside."""


class RecomputeArea(Rule):
    """Where there is no mask, make the area that of the box."""

    tolerance: float = Field(default=0.01, ge=0, description="share of the box's area")


class DropAreaRange(Rule):
    """Drop annotations by area; crowd regions stay."""

    enabled: bool = False
    min_area: float = Field(default=0, ge=0, description="square pixels; smaller are dropped")
    max_area: float | None = Field(default=None, gt=0, description="larger are dropped")


class GroupNearDuplicates(Rule):
    """Put images that look alike into one group."""

    max_distance: int = Field(default=8, ge=0, le=64, description="differing bits of 64")


class Cleaning(BaseModel):
    """The rules, their settings, and the order in which they are applied."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: tuple[RuleName, ...] = get_args(RuleName)
    fix_categories: FixCategories = FixCategories()
    relabel: Relabel = Relabel()
    drop_bad_images: DropBadImages = DropBadImages()
    drop_duplicate_images: DropDuplicateImages = DropDuplicateImages()
    drop_degenerate_boxes: DropDegenerateBoxes = DropDegenerateBoxes()
    clip_boxes: ClipBoxes = ClipBoxes()
    recompute_area: RecomputeArea = RecomputeArea()
    drop_area_range: DropAreaRange = DropAreaRange()
    group_near_duplicates: GroupNearDuplicates = GroupNearDuplicates()

    @model_validator(mode="after")
    def _order_holds_each_rule_once(self) -> Cleaning:
        names = get_args(RuleName)
        missing = [name for name in names if name not in self.order]
        twice = [name for name, times in Counter(self.order).items() if times > 1]
        if missing or twice:
            what = f"lacks {missing[0]!r}" if missing else f"has {twice[0]!r} twice"
            raise ValueError(
                f"order {what}; list each rule once (switch one off with enabled: false)"
            )
        return self


def clean(
    annotations: Annotations, checks: pd.DataFrame, rules: Cleaning
) -> tuple[Annotations, pd.DataFrame]:
    """Apply the enabled rules in their order.

    Args:
        annotations: What was read; it is not changed.
        checks: What `check_images` found; no rows where the images were not at hand.
        rules: The rules and their settings.

    Returns:
        The clean annotations, and the audit: schema `recycling.annotations.AUDIT`, rules in the
        order applied, each rule's rows by subject id.

    Raises:
        AnnotationError: A rule names a category or an annotation that does not exist.
    """
    audits = []
    known_ids = frozenset(annotations.annotations["annotation_id"].tolist())
    for name in rules.order:
        settings = getattr(rules, name)
        if settings.enabled:
            annotations, audit = _applied(name, settings, annotations, checks, known_ids)
            audits.append(audit)
    tidy = Annotations(
        images=IMAGES.conform(annotations.images, where="clean images"),
        annotations=ANNOTATIONS.conform(annotations.annotations, where="clean annotations"),
        categories=CATEGORIES.conform(annotations.categories, where="clean categories"),
        extra=annotations.extra,
    )
    return tidy, combined(audits)


def _applied(
    name: str,
    settings: Any,
    annotations: Annotations,
    checks: pd.DataFrame,
    known_ids: frozenset[int],
) -> tuple[Annotations, pd.DataFrame]:
    """One rule: its settings' fields are its function's arguments."""
    arguments = {field: getattr(settings, field) for field in type(settings).model_fields}
    del arguments["enabled"]
    if name in _NEEDS_CHECKS:
        arguments["checks"] = checks
    if name == "relabel":
        arguments["lists"] = [
            (one.reason, one.annotation_ids, one.category) for one in settings.lists if one.enabled
        ]
        arguments["known_ids"] = known_ids
    return _RULES[name](annotations, **arguments)


_RULES: dict[str, Callable[..., tuple[Annotations, pd.DataFrame]]] = {
    "fix_categories": category_rules.fix_categories,
    "relabel": category_rules.relabel,
    "drop_bad_images": rules.drop_bad_images,
    "drop_duplicate_images": rules.drop_duplicate_images,
    "drop_degenerate_boxes": rules.drop_degenerate_boxes,
    "clip_boxes": rules.clip_boxes,
    "recompute_area": rules.recompute_area,
    "drop_area_range": rules.drop_area_range,
    "group_near_duplicates": rules.group_near_duplicates,
}
_NEEDS_CHECKS = {"drop_bad_images", "drop_duplicate_images", "group_near_duplicates"}
