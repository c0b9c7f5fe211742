"""What annotation files say of images, and the tables that come of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from recycling.annotations.core import (
    ANNOTATIONS,
    AnnotationError,
    Annotations,
    own_group,
)
from recycling.annotations.masks import annotation_areas
from recycling.annotations.outlines import check_segmentations
from recycling.errors import Faults, cut
from recycling.names import composed, is_text
from recycling.tables import TableError


@dataclass(frozen=True)
class FoundAnnotation:
    """One annotation as a file tells it.

    Attributes:
        category: Its category's id or, where the file has no ids, its category's name.
        box: `x_min, y_min, x_max, y_max`, pixels.
        polygons: `[[x, y, x, y, ...], ...]`, pixels; empty where there is only a box.
        score: Confidence, 0 to 1.
        extra: What else the file says of it.
    """

    category: int | str
    box: Sequence[float]
    polygons: list[list[float]] = field(default_factory=list)
    score: float = 1.0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundImage:
    """One image with its annotations.

    Attributes:
        file_name: Its path below the image folder, with forward slashes.
        size: Width and height, pixels.
        annotations: What is on it.
        group: Its group; None makes it one of its own.
    """

    file_name: str
    size: tuple[int, int]
    annotations: Sequence[FoundAnnotation]
    group: str | None = None


def as_annotations(
    images: Sequence[FoundImage],
    categories: Mapping[int, str],
    *,
    supercategory: str = "",
    where: str | Path,
    source: Literal["human", "pseudo"],
) -> Annotations:
    """Put what files say into tables.

    Args:
        images: The images; they are numbered from 1 in this order, and their annotations from 1
            through all images.
        categories: Names by id, in order.
        supercategory: The family of all categories.
        where: What to call the source in messages.
        source: Who made the annotations.

    Returns:
        The tables. Areas are those of the masks, or of the boxes where there is none.

    Raises:
        AnnotationError: A value has no place in its table.

    >>> image = FoundImage("a.jpg", (8, 6), [FoundAnnotation("Glass", [1, 1, 3, 2])])
    >>> tables = as_annotations([image], {7: "Glass"}, where="example", source="human")
    >>> tables.annotations[["annotation_id", "image_id", "category_id", "area"]]
       annotation_id  image_id  category_id  area
    0              1         1            7   2.0
    """
    for name in (*categories.values(), *(image.file_name for image in images)):
        if not is_text(name):
            raise AnnotationError(f"{where}: {cut(repr(name))} is not UTF-8 text; rename it")
    names = {number: composed(name) for number, name in categories.items()}
    id_of_name: dict[int | str, int] = {name: number for number, name in names.items()}
    groups = {image.group for image in images if image.group is not None}
    rows: list[tuple[Any, ...]] = []
    for image_id, image in enumerate(images, 1):
        for annotation in image.annotations:
            text = _json(annotation.polygons)
            area = np.nan  # drawn only where all outlines are known to be sound
            category = annotation.category
            if isinstance(category, str):
                category = composed(category)
            category_id = id_of_name.get(category, category)
            ids = (len(rows) + 1, image_id, category_id)
            extra = _json(annotation.extra)
            rows.append((*ids, *annotation.box, area, text, False, source, annotation.score, extra))
    image_table = pd.DataFrame(
        {
            "image_id": range(1, len(images) + 1),
            "file_name": [image.file_name for image in images],
            "width": [image.size[0] for image in images],
            "height": [image.size[1] for image in images],
            "group": [
                own_group(number, groups) if image.group is None else image.group
                for number, image in enumerate(images, 1)
            ],
            "extra": None,
        }
    )
    category_table = pd.DataFrame(
        {
            "category_id": list(categories),
            "name": list(names.values()),
            "supercategory": supercategory,
            "extra": None,
        }
    )
    table = pd.DataFrame(rows, columns=ANNOTATIONS.names)
    _measure(table, images, image_table, where)
    tables = Annotations(image_table, table, category_table)
    try:
        return tables.conform(f"{where}, ")
    except TableError as error:
        raise AnnotationError(str(error)) from error


def _measure(
    table: pd.DataFrame, images: Sequence[FoundImage], image_table: pd.DataFrame, where: str | Path
) -> None:
    """Fill in the areas, once every outline is known to be sound."""
    faults = Faults(where, AnnotationError)
    numbers = table["image_id"].tolist()
    table["segmentation"] = table["segmentation"].astype("string")
    check_segmentations(
        table,
        image_table,
        faults,
        lambda row: f"{images[numbers[row] - 1].file_name}, annotation {row + 1}",
    )
    faults.raise_if_any()
    table["area"] = annotation_areas(table, image_table)


def _json(value: Any) -> str | None:
    """Compact JSON; None where there is nothing to say."""
    return json.dumps(value, separators=(",", ":")) if value else None
