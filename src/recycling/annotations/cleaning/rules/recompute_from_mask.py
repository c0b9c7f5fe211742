"""Make area and box those of the mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows
from recycling.annotations.core import BOX, Annotations
from recycling.annotations.masks import segmentation_box
from recycling.annotations.overlaps import Shapes, images_with_rows

_BORDER = 0.5  # pixels by which drawing an outline may move a side of its box


class RecomputeFromMask(RuleSettings):
    """Make area and box those of the mask; where there is no mask, the area that of the box."""

    # TACO (4,784 masks): 3 areas are off by more, all of outlines that cross themselves; without
    # the half pixel of the border that the rule allows beside, 78 more are, by drawing alone.
    area_tolerance: float = Field(default=0.01, ge=0, description="share of the area")
    # TACO: no box is off by more than 0.5.
    box_tolerance: float = Field(default=1, ge=0, description="pixels by which an edge may be off")


@cleaning_rule("recompute_from_mask", RecomputeFromMask, position=80)
def recompute_from_mask(
    annotations: Annotations, *, area_tolerance: float = 0.01, box_tolerance: float = 1
) -> Cleaned:
    """Make area and box those of the mask; where there is no mask, the area that of the box.

    The area is the number of pixels that the mask covers. Drawing an outline moves its border by a
    part of a pixel, so half a pixel for each of the box's width and height is allowed beside the
    tolerance. The box is that of the outlines' corners, within the image, or of an RLE's pixels;
    a mask without pixels leaves it as it is. Crowd regions are treated like all others: area and
    box mean the same for them.

    Args:
        annotations: The tables.
        area_tolerance: How far an area may be off, as a share of what it should be.
        box_tolerance: How far an edge of a box may be off, pixels.

    Returns:
        The tables, and the audit.

    Raises:
        AnnotationError: A segmentation cannot be drawn; the message names the annotation.
    """
    table = annotations.annotations
    boxes, has_mask, area = _measured(annotations)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    area = np.where(has_mask, area, sides.prod(axis=1))
    slack = np.where(has_mask, _BORDER * sides.sum(axis=1), 0)
    old_area, old_boxes = table["area"].to_numpy(), table[BOX].to_numpy()
    area_off = np.asarray(np.abs(old_area - area) > area_tolerance * area + slack)
    box_off = np.asarray((np.abs(old_boxes - boxes) > box_tolerance).any(axis=1))
    off = area_off | box_off
    new_boxes = np.where(box_off[:, None], boxes, old_boxes)[off]
    return with_rows(
        annotations,
        "recompute_from_mask",
        off,
        {
            "area": np.where(area_off, area, old_area)[off],
            **dict(zip(BOX, new_boxes.T, strict=True)),
        },
        [
            _what_is_off(*faults)
            for faults in zip(has_mask[off], area_off[off], box_off[off], strict=True)
        ],
    )


def _measured(
    annotations: Annotations,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Boxes that the masks have, (N, 4), whether there is a mask, (N,), and its pixels, (N,).

    Where there is no mask or it has no pixels, the box is the one of the table.
    """
    from pycocotools import mask as coco_mask

    table = annotations.annotations
    boxes = table[BOX].to_numpy(dtype=np.float64, copy=True)
    has_mask = np.zeros(len(table), dtype=np.bool_)
    area = np.zeros(len(table))
    has_text = table["segmentation"].notna().to_numpy()
    shapes = Shapes(annotations)
    for image in images_with_rows(annotations, has_text):
        for row, text, shape in zip(
            image.rows.tolist(), shapes.texts(image), shapes.of(image), strict=True
        ):
            if text is None or not shape.has_mask:
                continue
            has_mask[row] = True
            area[row] = coco_mask.area(shape.rle)
            box = np.array(segmentation_box(text, shape.rle))
            if area[row] and (box[2:] > box[:2]).all():
                boxes[row] = box
    return boxes, has_mask, area


def _what_is_off(has_mask: bool, area_off: bool, box_off: bool) -> str:
    if not has_mask:
        return "there is no mask, and the box has another area"
    what = [name for name, off in (("area", area_off), ("box", box_off)) if off]
    return f"the mask has another {' and '.join(what)}"
