"""Stop where boxes are likely to be written in another form than they are read in."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.annotations.cleaning.audit import NO_AUDIT
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.core import BOX, AnnotationError, Annotations
from recycling.names import shown_name

_RULE = "check_boxes"
_TINY = 2  # pixels; no object can be told in less
_MEANT = "set check_boxes: {enabled: false} in the cleaning rules"


class CheckBoxes(RuleSettings):
    """Stop where boxes are likely to be shares for pixels, or corners for sizes."""


@cleaning_rule(_RULE, CheckBoxes, position=45)
def check_boxes(annotations: Annotations) -> Cleaned:
    """Stop where boxes are likely to be written in another form than they are read in.

    Args:
        annotations: The tables.

    Returns:
        The tables as they are, and no audit.

    Raises:
        AnnotationError: Most boxes are under 2 pixels wide and high, as shares of an image's sides
            are; or most reach outside their image, and all lie inside if their sizes are taken for
            corners.
    """
    table = annotations.annotations
    if table.empty:
        return annotations, NO_AUDIT
    corners = table[BOX].to_numpy()
    start, sides = corners[:, :2], corners[:, 2:] - corners[:, :2]
    tiny = (sides < _TINY).all(axis=1) & (sides > 0).any(axis=1)
    if 2 * tiny.sum() > len(table):
        row = int(tiny.argmax())
        raise AnnotationError(
            f"{_RULE}: {tiny.sum()} of {len(table)} boxes are under {_TINY} pixels wide and high: "
            f"they are likely to be shares of the images' sides, where pixels belong; "
            f"{_told(annotations, row)}; multiply them by width and height, or if they are meant, "
            f"{_MEANT}"
        )
    sizes = annotations.images.set_index("image_id").loc[table["image_id"], ["width", "height"]]
    limits = sizes.to_numpy(dtype=np.float64)
    outside = (corners[:, 2:] > limits).any(axis=1)
    are_corners = (sides > start).all() and (sides <= limits).all()
    if 2 * outside.sum() > len(table) and are_corners:
        row = int(outside.argmax())
        raise AnnotationError(
            f"{_RULE}: {outside.sum()} of {len(table)} boxes reach outside their image, and none "
            "would if width and height were the lower right corner: they are likely to be x_min, "
            f"y_min, x_max, y_max, where x, y, width, height belong; {_told(annotations, row)}; "
            f"subtract the first two from the last two, or if they are meant, {_MEANT}"
        )
    return annotations, NO_AUDIT


def _told(annotations: Annotations, row: int) -> str:
    annotation = annotations.annotations.iloc[row]
    image: pd.Series = annotations.images.set_index("image_id").loc[annotation["image_id"]]
    x_min, y_min, x_max, y_max = annotation[BOX]
    return (
        f"annotation {annotation['annotation_id']} on {shown_name(image['file_name'])} "
        f"({image['width']} x {image['height']}) is [{x_min:g}, {y_min:g}, {x_max - x_min:g}, "
        f"{y_max - y_min:g}]"
    )
