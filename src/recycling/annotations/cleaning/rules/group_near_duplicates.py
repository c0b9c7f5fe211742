"""Keep images that look alike together, so that no fold separates them."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from pydantic import Field

from recycling.annotations.cleaning.audit import changed
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.core import Annotations
from recycling.annotations.images.near_duplicates import near_duplicate_groups


class GroupNearDuplicates(RuleSettings):
    """Put images that look alike into one group."""

    max_distance: int = Field(default=8, ge=0, le=64, description="differing bits of 64")


@cleaning_rule("group_near_duplicates", GroupNearDuplicates, position=120, needs=("checks",))
def group_near_duplicates(
    annotations: Annotations, checks: pd.DataFrame, *, max_distance: int = 8
) -> Cleaned:
    """Put images that look alike into one group.

    Args:
        annotations: The tables.
        checks: What `check_images` found.
        max_distance: Largest number of differing bits, of 64, between hashes of like images.

    Returns:
        The tables, and the audit.
    """
    before = annotations.images.reset_index(drop=True)
    after = near_duplicate_groups(before, checks, max_distance=max_distance)
    moved = before["group"] != after["group"]
    reasons = ["it looks like an image of that group"] * int(moved.sum())
    audit = changed("group_near_duplicates", "image", before[moved], after[moved], reasons)
    return replace(annotations, images=after), audit
