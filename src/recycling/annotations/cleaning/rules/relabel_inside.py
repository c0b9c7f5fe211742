"""What lies inside a category's masks becomes that category, or goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recycling.annotations.cleaning.audit import combined
from recycling.annotations.cleaning.category_names import id_of_category
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows, without_rows
from recycling.annotations.core import BOX, Annotations
from recycling.annotations.masks import Rle
from recycling.annotations.overlaps import Shapes, images_with_rows
from recycling.registry import Settings

_RULE = "relabel_inside"
_ROUNDING = 1e-9  # by which a share that is computed may fall short of one that is written


class InsideRule(Settings):
    """What lies inside a category's masks becomes that category, or goes, for one reason."""

    reason: str = Field(min_length=1, description="for the audit")
    container: str = Field(description="name of the category that others lie inside")
    inside: float = Field(
        default=0.9, gt=0, le=1, description="share of an annotation that has to lie inside"
    )
    categories: tuple[str, ...] = Field(
        default=(), description="names of the categories that it applies to; none: all others"
    )
    action: Literal["relabel", "drop"] = Field(
        default="relabel", description="get the container's category, or go"
    )
    enabled: bool = Field(default=True, description="whether the rule is applied")


class RelabelInside(RuleSettings):
    """Give what lies inside a container its category, or drop it.

    Attributes:
        rules: One for each container; a later one sees what the earlier ones left.
    """

    enabled: bool = False
    rules: tuple[InsideRule, ...] = ()


@cleaning_rule(_RULE, RelabelInside, position=90)
def relabel_inside(annotations: Annotations, *, rules: Sequence[InsideRule]) -> Cleaned:
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
            annotations, audit = _inside_container(annotations, rule)
            audits.append(audit)
    return annotations, combined(audits)


def _inside_container(annotations: Annotations, rule: InsideRule) -> Cleaned:
    where = f"{_RULE} {rule.reason!r}"
    container_id = id_of_category(annotations, rule.container, where)
    others = [id_of_category(annotations, name, where) for name in rule.categories]
    table = annotations.annotations
    category_id, crowd = table["category_id"], table["iscrowd"]
    is_container = (~crowd & (category_id == container_id)).to_numpy()
    may_lie = ~crowd & (category_id != container_id) & (category_id.isin(others) | (not others))
    share, holder = _shares_inside(annotations, may_lie.to_numpy(), is_container)
    inside = share >= rule.inside - _ROUNDING
    reasons = [
        f"{rule.reason}: {fraction:.0%} of it is inside annotation {holder_id}"
        for fraction, holder_id in zip(share[inside], holder[inside], strict=True)
    ]
    if rule.action == "drop":
        return without_rows(annotations, _RULE, inside, reasons)
    values = {"category_id": container_id}
    return with_rows(annotations, _RULE, inside, values, reasons)


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
                [shape.rle for shape in shapes.of(replace(image, rows=rows))]
                for rows in (insides, outsides)
            )
        # The "IoU" with a crowd region is the share of the first one that lies in it.
        shares = np.asarray(coco_mask.iou(first, second, [1] * len(outsides)))
        share[insides] = shares.max(axis=1)
        holder[insides] = ids[outsides[shares.argmax(axis=1)]]
    return share, holder
