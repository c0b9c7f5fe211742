"""Cleaning rules for whole images: pure functions, each with the audit of what it did."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pandas as pd

from recycling.annotations.cleaning.audit import changed, combined, dropped
from recycling.annotations.core import Annotations
from recycling.annotations.images.near_duplicates import near_duplicate_groups


def drop_bad_images(
    annotations: Annotations, checks: pd.DataFrame, *, problems: Collection[str]
) -> tuple[Annotations, pd.DataFrame]:
    """Drop images that have one of the `problems`, and what is annotated on them.

    Args:
        annotations: The tables.
        checks: What `check_images` found.
        problems: Of `recycling.annotations.PROBLEMS`.

    Returns:
        The tables without them, and the audit.
    """
    bad = checks[checks["problem"].isin(list(problems))]
    reasons = bad["problem"] + ": " + bad["detail"].fillna("")
    return _without_images(
        annotations, "drop_bad_images", dict(zip(bad["image_id"], reasons, strict=True))
    )


def drop_duplicate_images(
    annotations: Annotations, checks: pd.DataFrame
) -> tuple[Annotations, pd.DataFrame]:
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
    return _without_images(
        annotations, "drop_duplicate_images", dict(zip(copies["image_id"], reasons, strict=True))
    )


def group_near_duplicates(
    annotations: Annotations, checks: pd.DataFrame, *, max_distance: int = 8
) -> tuple[Annotations, pd.DataFrame]:
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


def _without_images(
    annotations: Annotations, rule: str, reasons: dict[int, str]
) -> tuple[Annotations, pd.DataFrame]:
    """Drop the images that have a reason, and what is annotated on them."""
    images, table = annotations.images, annotations.annotations
    gone = images["image_id"].isin(list(reasons))
    on_gone = table["image_id"].isin(list(reasons))
    image_rows = images[gone]
    annotation_rows = table[on_gone]
    audit = combined(
        [
            dropped(rule, "image", image_rows, [reasons[one] for one in image_rows["image_id"]]),
            dropped(
                rule,
                "annotation",
                annotation_rows,
                [f"its image {one}: {reasons[one]}" for one in annotation_rows["image_id"]],
            ),
        ]
    )
    rest = replace(
        annotations,
        images=images[~gone].reset_index(drop=True),
        annotations=table[~on_gone].reset_index(drop=True),
    )
    return rest, audit
