"""Correct, drop or add single annotations that a person has looked at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from recycling.annotations.cleaning.audit import added, combined
from recycling.annotations.cleaning.category_names import id_of_category
from recycling.annotations.cleaning.registry import Cleaned, RuleSettings, cleaning_rule
from recycling.annotations.cleaning.rows import with_rows, without_rows
from recycling.annotations.core import (
    ANNOTATIONS,
    BOX,
    AnnotationError,
    Annotations,
    free_ids,
)
from recycling.names import KnownNames, shown_name
from recycling.registry import Settings

_RULE = "correct_annotations"
_TOLERANCE = 1.0  # pixels by which an edge may differ: tools round boxes when they write them

_DTYPES = {column.name: column.dtype for column in ANNOTATIONS.columns}

Box: TypeAlias = tuple[float, float, float, float]
"""`x_min, y_min, x_max, y_max`, pixels."""


class Correction(Settings):
    """One annotation that gets another category or box, is dropped, or is added.

    It is known by its image, category and box, not by its id, so that an entry means the same
    where annotations are numbered anew.
    """

    file_name: str = Field(min_length=1, description="its image, as in the cleaned annotations")
    category: str = Field(description="its category; of one to add, the one that it gets")
    box: Box = Field(description="its box; of one to add, the one that it gets")
    new_category: str | None = Field(default=None, description="the category that it gets")
    new_box: Box | None = Field(default=None, description="the box that it gets")
    drop: bool = Field(default=False, description="whether it goes")
    add: bool = Field(default=False, description="whether it is added")
    reason: str | None = Field(default=None, min_length=1, description="for the audit")

    @model_validator(mode="after")
    def _one_thing_is_done(self) -> Correction:
        changes = self.new_category is not None or self.new_box is not None
        if changes + self.drop + self.add != 1:
            raise ValueError(
                "an entry does one thing: new_category or new_box (or both), drop: true, or "
                "add: true"
            )
        made = self.box if self.add else self.new_box
        if made is not None and not (made[0] < made[2] and made[1] < made[3]):
            raise ValueError(f"the box {list(made)} is none; write x_min, y_min, x_max, y_max")
        return self


class CorrectAnnotations(RuleSettings):
    """Correct, drop or add single annotations, such as the label errors that models point at.

    Attributes:
        corrections: What to do, in this order; a later entry sees what the earlier ones left.
    """

    corrections: tuple[Correction, ...] = ()


# Last of all that changes annotations: entries name them as they are where models learn from them.
@cleaning_rule(_RULE, CorrectAnnotations, position=115, needs=("known_ids",))
def correct_annotations(
    annotations: Annotations,
    *,
    corrections: Sequence[Correction],
    known_ids: Collection[int] = (),
) -> Cleaned:
    """Give single annotations another category or box, drop them, or add some.

    An annotation is found by its image, its category and its box, every edge of which may be off by
    a pixel. One that gets a new box loses its mask, which was of the old one.

    Args:
        annotations: The tables.
        corrections: What to do, in this order: a later entry sees what the earlier ones left.
        known_ids: Further ids that an added annotation must not get.

    Returns:
        The tables, added annotations behind the others, and the audit.

    Raises:
        AnnotationError: An image, a category or an annotation does not exist, two annotations are
            meant as well, or a new box reaches outside its image; the message names the entry.

    >>> from recycling.annotations import from_coco
    >>> image = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 20}
    >>> can = {"id": 5, "image_id": 1, "category_id": 0, "bbox": [0, 0, 10, 10]}
    >>> names = [{"id": 0, "name": "Glass"}, {"id": 1, "name": "Metal"}]
    >>> document = {"images": [image], "annotations": [can], "categories": names}
    >>> entry = {"file_name": "a.jpg", "category": "Glass", "box": [0, 0, 10, 10]}
    >>> corrections = [Correction.model_validate({**entry, "new_category": "Metal"})]
    >>> raw = from_coco(document, where="example")
    >>> after, audit = correct_annotations(raw, corrections=corrections)
    >>> after.annotations["category_id"].tolist(), audit["reason"].tolist()
    ([1], ['is Metal, not Glass'])
    """
    audits = []
    for number, entry in enumerate(corrections, 1):
        where = f"{_RULE}: entry {number} ({shown_name(entry.file_name)})"
        do = _added if entry.add else _corrected
        annotations, audit = do(annotations, entry, where, known_ids)
        audits.append(audit)
    return annotations, combined(audits)


def _corrected(
    annotations: Annotations, entry: Correction, where: str, _: Collection[int]
) -> Cleaned:
    row = _row(annotations, entry, where)
    if entry.drop:
        return without_rows(annotations, _RULE, row, [entry.reason or "shows no object"])
    values: dict[str, Any] = {}
    reasons = []
    if entry.new_category is not None:
        values["category_id"] = id_of_category(annotations, entry.new_category, where)
        reasons.append(f"is {entry.new_category}, not {entry.category}")
    if entry.new_box is not None:
        _check_inside(annotations, row, entry.new_box, where)
        values |= dict(zip(BOX, entry.new_box, strict=True))
        values["area"] = _area(entry.new_box)
        has_mask = annotations.annotations["segmentation"][row].notna().any()
        values["segmentation"] = None
        reasons.append("lies elsewhere" + (", and its mask is dropped" if has_mask else ""))
    columns = {name: pd.array([value], _DTYPES[name]) for name, value in values.items()}
    return with_rows(annotations, _RULE, row, columns, [entry.reason or " and ".join(reasons)])


def _added(
    annotations: Annotations, entry: Correction, where: str, known_ids: Collection[int]
) -> Cleaned:
    images = _images(annotations, entry, where)
    if len(images) > 1:
        raise AnnotationError(
            f"{where}: {len(images)} images have that name; give each file one image first"
        )
    table = annotations.annotations
    on = annotations.images["image_id"].isin(images).to_numpy()
    _check_within(annotations.images[on].iloc[0], entry.box, where)
    row = pd.DataFrame(
        {
            "annotation_id": free_ids({*table["annotation_id"].tolist(), *known_ids}, 1),
            "image_id": images,
            "category_id": id_of_category(annotations, entry.category, where),
            **dict(zip(BOX, entry.box, strict=True)),
            "area": _area(entry.box),
            "segmentation": None,
            "iscrowd": False,
            "source": "human",
            "score": 1.0,
            "extra": None,
        }
    )
    row = ANNOTATIONS.conform(row, where=where)
    audit = added(_RULE, "annotation", row, [entry.reason or "was not annotated"])
    after = pd.concat([table, row], ignore_index=True)
    return replace(annotations, annotations=after), audit


def _images(annotations: Annotations, entry: Correction, where: str) -> list[int]:
    """The images of an entry's name: one, unless a file is listed several times."""
    images = annotations.images
    known = KnownNames(images["file_name"].drop_duplicates().tolist())
    found = known.find(entry.file_name)
    if found is None:
        raise AnnotationError(
            f"{where}: no such image is left after the other rules; write its name as in the "
            "cleaned annotations, or remove the entry"
        )
    name = images["file_name"].drop_duplicates().iloc[found]
    ids: list[int] = images.loc[images["file_name"] == name, "image_id"].tolist()
    return ids


def _row(annotations: Annotations, entry: Correction, where: str) -> NDArray[np.bool_]:
    """The annotation that an entry means; (annotations,), true for one."""
    table = annotations.annotations
    category_id = id_of_category(annotations, entry.category, where)
    images = _images(annotations, entry, where)
    candidates = (table["image_id"].isin(images) & (table["category_id"] == category_id)).to_numpy()
    off = np.full(len(table), np.inf)
    off[candidates] = np.abs(table.loc[candidates, BOX].to_numpy() - entry.box).max(axis=1)
    nearest = off.min(initial=np.inf)
    if nearest > _TOLERANCE:
        raise AnnotationError(
            f"{where}: no {entry.category} there has the box {list(entry.box)}; if it is "
            "corrected where it comes from, remove the entry, else write category and box as in "
            "the cleaned annotations"
        )
    meant = off == nearest
    if meant.sum() > 1:
        ids = table["annotation_id"][meant].tolist()
        raise AnnotationError(
            f"{where}: annotations {ids[0]} and {ids[1]} have that category and box; drop one "
            "with drop_duplicate_annotations first"
        )
    return np.asarray(meant)


def _check_inside(annotations: Annotations, row: NDArray[np.bool_], box: Box, where: str) -> None:
    image_id = annotations.annotations["image_id"][row].iloc[0]
    on = annotations.images["image_id"] == image_id
    _check_within(annotations.images[on].iloc[0], box, where)


def _check_within(image: pd.Series, box: Box, where: str) -> None:
    width, height = int(image["width"]), int(image["height"])
    if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
        raise AnnotationError(
            f"{where}: the box {list(box)} reaches outside the image of {width} x {height} "
            "pixels; write one within"
        )


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
