"""Cleaning rules for annotations and their boxes: pure functions, each with its audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.cleaning.audit import NO_AUDIT, changed, combined, dropped
from recycling.annotations.core import BOX, Annotations

_SAYS = ["image_id", "category_id", *BOX, "iscrowd"]


def drop_duplicate_annotations(annotations: Annotations) -> tuple[Annotations, pd.DataFrame]:
    """Drop annotations that say of an image what one of a lower id says.

    They say the same where image, category, box, segmentation and crowd flag are equal.

    Args:
        annotations: The tables.

    Returns:
        The tables without the copies, and the audit.
    """
    table = annotations.annotations
    # Segmentations are long texts: they are looked at only where all the rest is equal.
    rows = np.flatnonzero(table.duplicated(_SAYS, keep=False).to_numpy())
    alike = table.iloc[rows]
    first = alike.groupby([*_SAYS, "segmentation"], dropna=False)["annotation_id"].transform("min")
    is_copy = (first != alike["annotation_id"]).to_numpy()
    bad = np.zeros(len(table), dtype=np.bool_)
    bad[rows[is_copy]] = True
    reasons = [f"the same as annotation {one}" for one in first[is_copy]]
    return without_rows(annotations, "drop_duplicate_annotations", bad, reasons)


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
    return without_rows(annotations, "drop_degenerate_boxes", bad, reasons)


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
    after, audit = with_rows(
        annotations,
        rule,
        reaching,
        dict(zip(BOX, inside[reaching].T, strict=True)),
        [f"the box reaches outside its picture of {one}" for one in _sizes(limits[reaching])],
    )
    rest, drops = without_rows(
        after,
        rule,
        outside,
        [f"the box lies wholly outside its picture of {one}" for one in _sizes(limits[outside])],
    )
    return rest, combined([audit, drops])


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
        f"area {area:g} is below {min_area:g} square pixels"
        if area < min_area
        else f"area {area:g} is above {highest:g} square pixels"
        for area in table["area"][bad]
    ]
    return without_rows(annotations, "drop_area_range", bad.to_numpy(), reasons)


def _sizes(limits: NDArray[np.float64]) -> list[str]:
    return [f"{width:.0f} x {height:.0f} pixels" for width, height in limits[:, :2]]


def with_rows(
    annotations: Annotations,
    rule: str,
    where: NDArray[np.bool_],
    values: Mapping[str, Any],
    reasons: Sequence[str],
) -> tuple[Annotations, pd.DataFrame]:
    """Give annotations new values.

    Args:
        annotations: The tables.
        rule: The rule's name.
        where: (N,), true for the rows of the annotations table that change.
        values: The new values by column, one for each of these rows.
        reasons: Why, one for each of these rows.

    Returns:
        The tables, and the audit of the rows that differ.
    """
    table = annotations.annotations
    if not where.any():
        return annotations, NO_AUDIT
    was = table.loc[where, ["annotation_id", *values]]
    audit = changed(rule, "annotation", was, was.assign(**values), reasons)
    columns = {}
    for name, new in values.items():
        columns[name] = table[name].copy()
        columns[name].iloc[np.flatnonzero(where)] = new
    return replace(annotations, annotations=table.assign(**columns)), audit


def without_rows(
    annotations: Annotations, rule: str, where: NDArray[np.bool_], reasons: Sequence[str]
) -> tuple[Annotations, pd.DataFrame]:
    """Drop annotations.

    Args:
        annotations: The tables.
        rule: The rule's name.
        where: (N,), true for the rows of the annotations table to drop.
        reasons: Why, one a dropped row.

    Returns:
        The tables without them, and the audit.
    """
    table = annotations.annotations
    if not where.any():
        return annotations, NO_AUDIT
    audit = dropped(rule, "annotation", table[where], reasons)
    return replace(annotations, annotations=table[~where].reset_index(drop=True)), audit
