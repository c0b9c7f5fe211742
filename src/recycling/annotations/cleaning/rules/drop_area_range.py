"""Drop annotations that are too small or too large."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import without_rows
from recycling.annotations.core import Annotations


class DropAreaRange(RuleSettings):
    """Drop annotations by area; crowd regions stay."""

    enabled: bool = False
    min_area: float = Field(default=31, ge=0, description="square pixels; smaller are dropped")
    max_area: float | None = Field(default=None, gt=0, description="larger are dropped")


@cleaning_rule("drop_area_range", DropAreaRange, position=110)
def drop_area_range(
    annotations: Annotations, *, min_area: float = 0, max_area: float | None = None
) -> Cleaned:
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
