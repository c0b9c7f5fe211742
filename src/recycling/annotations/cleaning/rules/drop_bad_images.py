"""Drop images that have a problem."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import pandas as pd

from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import without_images
from recycling.annotations.core import Annotations


class DropBadImages(RuleSettings):
    """Drop images with a problem, and what is annotated on them.

    Attributes:
        problems: Those for which an image goes.
    """

    problems: tuple[Literal["missing", "unreadable", "truncated", "too_large"], ...] = (
        "missing",
        "unreadable",
        "truncated",
        "too_large",
    )


@cleaning_rule("drop_bad_images", DropBadImages, position=30, needs=("checks",))
def drop_bad_images(
    annotations: Annotations, checks: pd.DataFrame, *, problems: Collection[str]
) -> Cleaned:
    """Drop images that have one of the `problems`, and what is annotated on them.

    Args:
        annotations: The tables.
        checks: What `check_images` found.
        problems: Of `recycling.annotations.PROBLEMS`; a size that differs is another rule's.

    Returns:
        The tables without them, and the audit.
    """
    bad = checks[checks["problem"].isin(list(problems))]
    reasons = bad["problem"] + ": " + bad["detail"].fillna("")
    return without_images(
        annotations, "drop_bad_images", dict(zip(bad["image_id"], reasons, strict=True))
    )
