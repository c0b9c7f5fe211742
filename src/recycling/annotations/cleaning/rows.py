"""Changes of rows that several rules make, each with its audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.annotations.cleaning.audit import NO_AUDIT, changed, combined, dropped
from recycling.annotations.cleaning.registry import Cleaned
from recycling.annotations.core import Annotations


def with_rows(
    annotations: Annotations,
    rule: str,
    where: NDArray[np.bool_],
    values: Mapping[str, Any],
    reasons: Sequence[str],
) -> Cleaned:
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
) -> Cleaned:
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


def without_images(annotations: Annotations, rule: str, reasons: Mapping[int, str]) -> Cleaned:
    """Drop images, and what is annotated on them.

    Args:
        annotations: The tables.
        rule: The rule's name.
        reasons: Why, by the id of each image to drop; those that are gone already do no harm.

    Returns:
        The tables without them, and the audit.
    """
    images, table = annotations.images, annotations.annotations
    gone = images["image_id"].isin(list(reasons))
    on_gone = table["image_id"].isin(list(reasons))
    image_rows = images[gone]
    annotation_rows = table[on_gone]
    audit = combined(
        [
            dropped(rule, "image", image_rows, [reasons[i] for i in image_rows["image_id"]]),
            dropped(
                rule,
                "annotation",
                annotation_rows,
                [f"its image {i}: {reasons[i]}" for i in annotation_rows["image_id"]],
            ),
        ]
    )
    rest = replace(
        annotations,
        images=images[~gone].reset_index(drop=True),
        annotations=table[~on_gone].reset_index(drop=True),
    )
    return rest, audit
