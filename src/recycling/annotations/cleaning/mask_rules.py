"""Cleaning rules that look at masks: pure functions, each with the audit of what it did.

Masks are measured on their runs, by pycocotools, and never drawn; those of one image at a time are
in memory. A segmentation for which `annotation_mask` draws the box counts as no mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.cleaning.annotation_rules import with_rows, without_rows
from recycling.annotations.cleaning.audit import combined
from recycling.annotations.cleaning.category_rules import id_of_category
from recycling.annotations.cleaning.settings import InsideRule
from recycling.annotations.core import BOX, Annotations
from recycling.annotations.masks import (
    Rle,
    outside,
    rle_box,
    rle_to_segmentation,
    segmentation_box,
)
from recycling.annotations.overlaps import Shapes, images_with_rows, painted

_BORDER = 0.5  # pixels by which drawing an outline may move a side of its box
_ROUNDING = 1e-9


def recompute_from_mask(
    annotations: Annotations, *, area_tolerance: float = 0.01, box_tolerance: float = 1
) -> tuple[Annotations, pd.DataFrame]:
    """Make area and box those of the mask; where there is no mask, the area that of the box.

    The area is the number of pixels that the mask covers. Drawing an outline moves its border by a
    part of a pixel, so half a pixel for each of the box's width and height is allowed beside the
    tolerance. The box is that of the outlines' corners, within the picture, or of an RLE's pixels;
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
            _what_is_off(*one)
            for one in zip(has_mask[off], area_off[off], box_off[off], strict=True)
        ],
    )


def relabel_inside(
    annotations: Annotations, *, rules: Sequence[InsideRule]
) -> tuple[Annotations, pd.DataFrame]:
    """Give what lies inside a container its category, or drop it.

    What counts is the share of an annotation inside one container, the one that holds most of it:
    of its pixels if it or a container on its image has a mask, and otherwise of its box. Crowd
    regions are neither containers nor inside one.

    Args:
        annotations: The tables.
        rules: Containers, what may lie inside, and what becomes of it; those that are not enabled
            are passed over. A later rule sees what the earlier ones left.

    Returns:
        The tables, and the audit; its reasons name the container.

    Raises:
        AnnotationError: A category does not exist, or a segmentation cannot be drawn.
    """
    audits = []
    for rule in rules:
        if rule.enabled:
            annotations, audit = _one_container(annotations, rule)
            audits.append(audit)
    return annotations, combined(audits)


def remove_overlaps(annotations: Annotations) -> tuple[Annotations, pd.DataFrame]:
    """Cut masks to what is left when all are painted in the order of their rows.

    The segmentation becomes the RLE of the visible part, area and box follow; what is wholly hidden
    is dropped, and what nothing hides stays as it is. Crowd regions hide and are hidden, as
    `to_label_map` paints them. Annotations of a box only hide, as painted there, and are left
    alone: a box cannot hold a visible part. So the label maps stay the same, and afterwards no two
    masks share a pixel.

    Args:
        annotations: The tables.

    Returns:
        The tables, and the audit.

    Raises:
        AnnotationError: A segmentation cannot be drawn; the message names the annotation.
    """
    from pycocotools import mask as coco_mask

    rule = "remove_overlaps"
    has_text = annotations.annotations["segmentation"].notna().to_numpy()
    cut = np.zeros(len(has_text), dtype=np.bool_)
    gone = cut.copy()
    parts = {}
    shapes = Shapes(annotations)
    for image in images_with_rows(annotations):
        if len(image.rows) == 1 or not has_text[image.rows].any():
            continue
        found = shapes.of(image)
        for row, shape, (visible, above) in zip(
            image.rows.tolist(), found, painted([one.rle for one in found]), strict=True
        ):
            if not shape.has_mask or above is None or visible == coco_mask.area(shape.rle):
                continue
            gone[row] = visible == 0
            cut[row] = visible > 0
            if visible:
                part = coco_mask.merge([shape.rle, outside(above)], intersect=True)
                parts[row] = rle_to_segmentation(part), visible, *rle_box(part)
    columns = [parts[row] for row in np.flatnonzero(cut).tolist()]
    after, audit = with_rows(
        annotations,
        rule,
        cut,
        dict(zip(["segmentation", "area", *BOX], zip(*columns, strict=True), strict=False)),
        ["later annotations hide part of it"] * len(columns),
    )
    rest, drops = without_rows(after, rule, gone, ["later annotations hide it"] * int(gone.sum()))
    return rest, combined([audit, drops])


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


def _one_container(annotations: Annotations, rule: InsideRule) -> tuple[Annotations, pd.DataFrame]:
    where = f"relabel_inside {rule.reason!r}"
    container_id = id_of_category(annotations, rule.container, where)
    others = [id_of_category(annotations, name, where) for name in rule.categories]
    table = annotations.annotations
    category_id, crowd = table["category_id"], table["iscrowd"]
    is_container = (~crowd & (category_id == container_id)).to_numpy()
    may_lie = ~crowd & (category_id != container_id) & (category_id.isin(others) | (not others))
    share, holder = _shares_inside(annotations, may_lie.to_numpy(), is_container)
    inside = share >= rule.inside - _ROUNDING
    reasons = [
        f"{rule.reason}: {part:.0%} of it is inside annotation {holder_id}"
        for part, holder_id in zip(share[inside], holder[inside], strict=True)
    ]
    if rule.action == "drop":
        return without_rows(annotations, "relabel_inside", inside, reasons)
    values = {"category_id": container_id}
    return with_rows(annotations, "relabel_inside", inside, values, reasons)


def _shares_inside(
    annotations: Annotations, inner: NDArray[np.bool_], outer: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The share of each inner annotation in the outer one that holds most of it, and its id; (N,).

    The share is 0 for all that are not inner.
    """
    from pycocotools import mask as coco_mask

    table = annotations.annotations
    ids = table["annotation_id"].to_numpy()
    boxes = table[BOX].to_numpy(dtype=np.float64)
    boxes_xywh = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    has_text = table["segmentation"].notna().to_numpy()
    share = np.zeros(len(table))
    holder = np.zeros(len(table), dtype=np.int64)
    shapes = Shapes(annotations)
    for image in images_with_rows(annotations, inner | outer):
        insides = image.rows[inner[image.rows]]
        outsides = image.rows[outer[image.rows]]
        if not len(insides) or not len(outsides):
            continue
        outsides = outsides[np.argsort(ids[outsides])]  # the lowest id where two hold as much
        first: NDArray[np.float64] | list[Rle] = boxes_xywh[insides]
        second: NDArray[np.float64] | list[Rle] = boxes_xywh[outsides]
        if has_text[image.rows].any():
            first, second = (
                [one.rle for one in shapes.of(replace(image, rows=rows))]
                for rows in (insides, outsides)
            )
        # The "IoU" with a crowd region is the share of the first one that lies in it.
        shares = np.asarray(coco_mask.iou(first, second, [1] * len(outsides)))
        share[insides] = shares.max(axis=1)
        holder[insides] = ids[outsides[shares.argmax(axis=1)]]
    return share, holder
