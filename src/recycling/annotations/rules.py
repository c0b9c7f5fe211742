"""Cleaning rules for images and boxes: pure functions, each with the audit of what it did."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.audit import changed, combined, dropped
from recycling.annotations.core import BOX, Annotations
from recycling.annotations.image_checks import near_duplicate_groups


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


def drop_degenerate_boxes(
    annotations: Annotations, *, min_side: float = 0
) -> tuple[Annotations, pd.DataFrame]:
    """Drop annotations whose box has no area, or a side below `min_side`.

    Args:
        annotations: The tables.
        min_side: Pixels.

    Returns:
        The tables without them, and the audit.
    """
    table = annotations.annotations
    width = (table["x_max"] - table["x_min"]).to_numpy()
    height = (table["y_max"] - table["y_min"]).to_numpy()
    sides = np.minimum(width, height)
    bad = np.asarray((sides <= 0) | (sides < min_side))
    reasons = [
        f"the box is {wide:g} x {high:g} pixels"
        for wide, high in zip(width[bad], height[bad], strict=True)
    ]
    return _without_annotations(annotations, "drop_degenerate_boxes", bad, reasons)


def clip_boxes(annotations: Annotations) -> tuple[Annotations, pd.DataFrame]:
    """Clip boxes that reach outside their picture, and drop those wholly outside.

    Boxes of no area are clipped too, never dropped: they are another rule's.

    Args:
        annotations: The tables.

    Returns:
        The tables with every box inside its picture, and the audit.
    """
    rule = "clip_boxes"
    table = annotations.annotations
    sizes = annotations.images.set_index("image_id").loc[table["image_id"], ["width", "height"]]
    limits = np.tile(sizes.to_numpy(dtype=np.float64), 2)
    corners = table[BOX].to_numpy()
    inside = np.clip(corners, 0, limits)
    had_area = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    emptied = (inside[:, 2:] <= inside[:, :2]).any(axis=1)
    outside = np.asarray(had_area & emptied)
    reaching = (inside != corners).any(axis=1) & ~outside
    inside[outside] = corners[outside]  # the audit holds what was dropped as it was
    clipped = table.assign(**dict(zip(BOX, inside.T, strict=True)))
    audit = changed(
        rule,
        "annotation",
        table[reaching],
        clipped[reaching],
        [f"the box reaches outside its picture of {one}" for one in _sizes(limits[reaching])],
    )
    rest, drops = _without_annotations(
        replace(annotations, annotations=clipped),
        rule,
        outside,
        [f"the box lies wholly outside its picture of {one}" for one in _sizes(limits[outside])],
    )
    return rest, combined([audit, drops])


def recompute_area(
    annotations: Annotations, *, tolerance: float = 0.01
) -> tuple[Annotations, pd.DataFrame]:
    """Where there is no mask, make the area that of the box.

    Args:
        annotations: The tables.
        tolerance: How far the area may be off, as a share of the box's.

    Returns:
        The tables, and the audit.
    """
    table = annotations.annotations
    width, height = table["x_max"] - table["x_min"], table["y_max"] - table["y_min"]
    area = width.clip(lower=0) * height.clip(lower=0)
    off = (table["area"] - area).abs() > tolerance * area
    wrong = off & table["segmentation"].isna()
    after = table.assign(area=table["area"].mask(wrong, area))
    reasons = ["there is no mask, and the box has another area"] * int(wrong.sum())
    audit = changed("recompute_area", "annotation", table[wrong], after[wrong], reasons)
    return replace(annotations, annotations=after), audit


def drop_area_range(
    annotations: Annotations, *, min_area: float = 0, max_area: float | None = None
) -> tuple[Annotations, pd.DataFrame]:
    """Drop annotations that are too small or too large; crowd regions stay.

    Args:
        annotations: The tables.
        min_area: Square pixels; smaller ones are dropped.
        max_area: Square pixels; larger ones are dropped. None: no limit.

    Returns:
        The tables without them, and the audit.
    """
    table = annotations.annotations
    highest = np.inf if max_area is None else max_area
    bad = ~table["area"].between(min_area, highest) & ~table["iscrowd"]
    reasons = [
        f"area {area:g} is outside {min_area:g} to {highest:g} square pixels"
        for area in table["area"][bad]
    ]
    return _without_annotations(annotations, "drop_area_range", bad.to_numpy(), reasons)


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


def _sizes(limits: NDArray[np.float64]) -> list[str]:
    return [f"{width:.0f} x {height:.0f} pixels" for width, height in limits[:, :2]]


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


def _without_annotations(
    annotations: Annotations, rule: str, bad: NDArray[np.bool_], reasons: Sequence[str]
) -> tuple[Annotations, pd.DataFrame]:
    table = annotations.annotations
    audit = dropped(rule, "annotation", table[bad], reasons)
    return replace(annotations, annotations=table[~bad].reset_index(drop=True)), audit
