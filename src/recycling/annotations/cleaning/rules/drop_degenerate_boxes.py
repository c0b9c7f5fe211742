"""Drop boxes without an area."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import without_rows
from recycling.annotations.core import Annotations


class DropDegenerateBoxes(RuleSettings):
    """Drop boxes without width or height."""

    min_side: float = Field(default=0, ge=0, description="pixels; smaller boxes are dropped too")


@cleaning_rule("drop_degenerate_boxes", DropDegenerateBoxes, position=60)
def drop_degenerate_boxes(annotations: Annotations, *, min_side: float = 0) -> Cleaned:
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
        f"the box is {w:g} x {h:g} pixels" for w, h in zip(width[bad], height[bad], strict=True)
    ]
    return without_rows(annotations, "drop_degenerate_boxes", bad, reasons)
