"""Cut masks to what later ones do not hide."""

from __future__ import annotations

import numpy as np

from recycling.annotations.cleaning.audit import combined
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows, without_rows
from recycling.annotations.core import BOX, Annotations
from recycling.annotations.masks import merged_rles, outside, rle_box, rle_to_segmentation
from recycling.annotations.overlaps import Shapes, images_with_rows, painted

_RULE = "remove_overlaps"


class RemoveOverlaps(RuleSettings):
    """Cut masks to what later ones do not hide, and drop those wholly hidden."""

    enabled: bool = False


@cleaning_rule(_RULE, RemoveOverlaps, position=100)
def remove_overlaps(annotations: Annotations) -> Cleaned:
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

    has_text = annotations.annotations["segmentation"].notna().to_numpy()
    cut = np.zeros(len(has_text), dtype=np.bool_)
    gone = cut.copy()
    cut_masks = {}
    shapes = Shapes(annotations)
    for image in images_with_rows(annotations):
        if len(image.rows) == 1 or not has_text[image.rows].any():
            continue
        found = shapes.of(image)
        for row, shape, (visible, above) in zip(
            image.rows.tolist(), found, painted([shape.rle for shape in found]), strict=True
        ):
            if not shape.has_mask or above is None or visible == coco_mask.area(shape.rle):
                continue
            gone[row] = visible == 0
            cut[row] = visible > 0
            if visible:
                left = merged_rles([shape.rle, outside(above)], intersect=True)
                cut_masks[row] = rle_to_segmentation(left), visible, *rle_box(left)
    columns = [cut_masks[row] for row in np.flatnonzero(cut).tolist()]
    after, audit = with_rows(
        annotations,
        _RULE,
        cut,
        dict(zip(["segmentation", "area", *BOX], zip(*columns, strict=True), strict=False)),
        ["later annotations hide part of it"] * len(columns),
    )
    rest, drops = without_rows(after, _RULE, gone, ["later annotations hide it"] * int(gone.sum()))
    return rest, combined([audit, drops])
