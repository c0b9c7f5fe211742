"""What annotation files say of images, and the tables that come of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from recycling.annotations.core import ANNOTATIONS, AnnotationError, Annotations
from recycling.annotations.masks import annotation_area
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
    id_of_name: dict[int | str, int] = {name: number for number, name in categories.items()}
    rows: list[tuple[Any, ...]] = []
    for image_id, image in enumerate(images, 1):
        width, height = image.size
        for annotation in image.annotations:
            text = _json(annotation.polygons)
            area = annotation_area(text, annotation.box, height, width)
            category_id = id_of_name.get(annotation.category, annotation.category)
            ids = (len(rows) + 1, image_id, category_id)
            extra = _json(annotation.extra)
            rows.append((*ids, *annotation.box, area, text, False, source, annotation.score, extra))
    image_table = pd.DataFrame(
        {
            "image_id": range(1, len(images) + 1),
            "file_name": [image.file_name for image in images],
            "width": [image.size[0] for image in images],
            "height": [image.size[1] for image in images],
            "group": [image.group or str(number) for number, image in enumerate(images, 1)],
            "extra": None,
        }
    )
    category_table = pd.DataFrame(
        {
            "category_id": list(categories),
            "name": list(categories.values()),
            "supercategory": supercategory,
            "extra": None,
        }
    )
    tables = Annotations(image_table, pd.DataFrame(rows, columns=ANNOTATIONS.names), category_table)
    try:
        return tables.conform(f"{where}, ")
    except TableError as error:
        raise AnnotationError(str(error)) from error


def _json(value: Any) -> str | None:
    """Compact JSON; None where there is nothing to say."""
    return json.dumps(value, separators=(",", ":")) if value else None
