"""Cut boxes at the edges of their image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.annotations.cleaning.audit import combined
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows, without_rows
from recycling.annotations.core import BOX, Annotations

_RULE = "clip_boxes"


class ClipBoxes(RuleSettings):
    """Clip boxes to the image, and drop those wholly outside."""


@cleaning_rule(_RULE, ClipBoxes, position=70)
def clip_boxes(annotations: Annotations) -> Cleaned:
    """Clip boxes that reach outside their image, and drop those wholly outside.

    Boxes of no area are clipped too, never dropped: they are another rule's.

    Args:
        annotations: The tables.

    Returns:
        The tables with every box inside its image, and the audit.
    """
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
        _RULE,
        reaching,
        dict(zip(BOX, inside[reaching].T, strict=True)),
        [f"the box reaches outside its image of {size}" for size in _sizes(limits[reaching])],
    )
    rest, drops = without_rows(
        after,
        _RULE,
        outside,
        [f"the box lies wholly outside its image of {size}" for size in _sizes(limits[outside])],
    )
    return rest, combined([audit, drops])


def _sizes(limits: NDArray[np.float64]) -> list[str]:
    return [f"{width:.0f} x {height:.0f} pixels" for width, height in limits[:, :2]]
