"""Stop where boxes are likely to be written in another form than they are read in."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recycling.annotations.cleaning.audit import NO_AUDIT
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.core import BOX, AnnotationError, Annotations
from recycling.names import shown_name

_RULE = "check_boxes"
_TINY = 2  # pixels; no object can be told in less
_SHARE = 1.01  # shares reach 1, and a little more where they were rounded
_ENOUGH = 10  # boxes; of fewer, one may be off
_SOME = 0.1  # of the images, or of the boxes
_MULTIPLY = "multiply them by width and height"
_SHARES = (
    r"^\[(?:[\[\],\s]*(?:0?\.\d+(?:[eE]-\d+)?|[01](?:\.0*)?|\d(?:\.\d+)?[eE]-\d+)[\[\],\s]*)+$"
)
"""Polygons of numbers from 0 to 1, as JSON."""


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
            are, or all of a tenth of the images, or most outlines; most boxes reach outside their
            image, and all lie inside if their sizes are taken for corners; or a tenth has the
            centre outside the image, of ten or more.
    """
    if annotations.annotations.empty:
        return annotations, NO_AUDIT
    table = annotations.annotations
    corners = table[BOX].to_numpy()
    sizes = annotations.images.set_index("image_id").loc[table["image_id"], ["width", "height"]]
    for fault in (
        _tiny(corners, table),
        _tiny_outlines(table),
        _corners_for_centres(corners, sizes.to_numpy(dtype=np.float64)),
        _corners_for_sizes(corners, sizes.to_numpy(dtype=np.float64)),
        _outside(corners, sizes.to_numpy(dtype=np.float64)),
    ):
        if fault is not None:
            what, row, todo = fault
            raise AnnotationError(
                f"{_RULE}: {what}; {_told(annotations, row)}; {todo}, or if they are meant, set "
                "check_boxes: {enabled: false} in the cleaning rules"
            )
    return annotations, NO_AUDIT


_Fault: TypeAlias = tuple[str, int, str]
"""What is likely to be wrong, the row of an annotation that shows it, and what to do."""


def _tiny(corners: NDArray[np.float64], table: pd.DataFrame) -> _Fault | None:
    """Most boxes are under 2 pixels, or all boxes of some images lie within one pixel."""
    sides = corners[:, 2:] - corners[:, :2]
    tiny = (sides < _TINY).all(axis=1) & (sides > 0).any(axis=1)
    likely = "they are likely to be shares of the images' sides, where pixels belong"
    if 2 * tiny.sum() > len(table):
        what = f"{tiny.sum()} of {len(table)} boxes are under {_TINY} pixels wide and high"
        return f"{what}: {likely}", int(tiny.argmax()), _MULTIPLY
    are_shares = tiny & (corners >= 0).all(axis=1) & (corners <= _SHARE).all(axis=1)
    by_image = pd.Series(are_shares).groupby(table["image_id"].to_numpy()).all()
    if by_image.mean() >= _SOME:
        what = f"on {by_image.sum()} of {len(by_image)} images all boxes lie within one pixel"
        on_these = table["image_id"].isin(by_image.index[by_image]).to_numpy()
        return f"{what}: {likely}", int(on_these.argmax()), _MULTIPLY
    return None


def _tiny_outlines(table: pd.DataFrame) -> _Fault | None:
    """Most outlines lie within one pixel, whatever the boxes."""
    texts = pa.array(table["segmentation"], pa.large_string(), from_pandas=True)
    outlines = pc.fill_null(pc.starts_with(texts, "[["), False)
    found = pc.fill_null(pc.match_substring_regex(texts, _SHARES), False)
    are_shares = np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)
    n_outlines = pc.sum(outlines).as_py() or 0
    if 2 * are_shares.sum() <= n_outlines:
        return None
    return (
        f"{are_shares.sum()} of {n_outlines} outlines (segmentation) lie within one pixel: they "
        "are likely to be shares of the images' sides, where pixels belong",
        int(are_shares.argmax()),
        _MULTIPLY,
    )


def _corners_for_sizes(corners: NDArray[np.float64], limits: NDArray[np.float64]) -> _Fault | None:
    start, sides = corners[:, :2], corners[:, 2:] - corners[:, :2]
    outside = (corners[:, 2:] > limits).any(axis=1)
    are_corners = (sides > start).all() and (sides <= limits).all()
    if outside.mean() <= _many(len(corners)) or not are_corners:
        return None
    return (
        f"{outside.sum()} of {len(corners)} boxes reach outside their image, and none would if "
        "width and height were the lower right corner: they are likely to be x_min, y_min, x_max, "
        "y_max, where x, y, width, height belong",
        int(outside.argmax()),
        "subtract the first two from the last two",
    )


def _corners_for_centres(
    corners: NDArray[np.float64], limits: NDArray[np.float64]
) -> _Fault | None:
    """What `_corners_for_sizes` finds, in formats that write the centre of a box and its size."""
    centre, sides = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    outside = ((corners[:, :2] < 0) | (corners[:, 2:] > limits)).any(axis=1)
    # Here a box may begin left of its image or above; corners taken for x, y never do.
    are_corners = (
        (corners[:, :2] < 0).any() and (sides > centre).all() and (sides <= limits + 1).all()
    )
    if outside.mean() <= _many(len(corners)) or not are_corners:
        return None
    return (
        f"{outside.sum()} of {len(corners)} boxes reach outside their image, and none would if "
        "centre and size were the upper left and lower right corner: they are likely to be x_min, "
        "y_min, x_max, y_max, where x_center, y_center, width, height belong",
        int(outside.argmax()),
        "write the centre and the size",
    )


def _many(n_boxes: int) -> float:
    """The share of boxes outside that shows something, beside that all others fit: few may."""
    return 0.25 if n_boxes >= _ENOUGH else 0.5


def _outside(corners: NDArray[np.float64], limits: NDArray[np.float64]) -> _Fault | None:
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    outside = np.any((centre < 0) | (centre > limits), axis=1)
    if len(corners) < _ENOUGH or outside.mean() < _SOME:
        return None
    return (
        f"{outside.sum()} of {len(corners)} boxes have their centre outside their image: they are "
        "likely to be pixels of an image of another size, or to have x and y, or corners and "
        "sizes, in another order",
        int(outside.argmax()),
        "write x, y, width, height in pixels of the image as it is",
    )


def _told(annotations: Annotations, row: int) -> str:
    annotation = annotations.annotations.iloc[row]
    image: pd.Series = annotations.images.set_index("image_id").loc[annotation["image_id"]]
    x_min, y_min, x_max, y_max = annotation[BOX]
    return (
        f"annotation {annotation['annotation_id']} on {shown_name(image['file_name'])} "
        f"({image['width']} x {image['height']}) is [{x_min:g}, {y_min:g}, {x_max - x_min:g}, "
        f"{y_max - y_min:g}]"
    )
