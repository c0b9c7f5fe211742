"""Drop copies of images."""

from __future__ import annotations

import pandas as pd

from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import without_images
from recycling.annotations.core import Annotations


class DropDuplicateImages(RuleSettings):
    """Of images with the same bytes keep the one of the lowest id."""


@cleaning_rule("drop_duplicate_images", DropDuplicateImages, position=40, needs=("checks",))
def drop_duplicate_images(annotations: Annotations, checks: pd.DataFrame) -> Cleaned:
    """Drop images with the same bytes as one of a lower id, and what is annotated on them.

    A copy stays where the one that it copies is itself gone.

    Args:
        annotations: The tables.
        checks: What `check_images` found.

    Returns:
        The tables without the copies, and the audit.
    """
    present = checks[checks["image_id"].isin(annotations.images["image_id"])]
    first = present.groupby("sha256", sort=False)["image_id"].transform("min")
    copies = present[first.notna() & (first != present["image_id"])]
    reasons = [f"the same bytes as image {original:.0f}" for original in first.loc[copies.index]]
    return without_images(
        annotations, "drop_duplicate_images", dict(zip(copies["image_id"], reasons, strict=True))
    )
