"""The annotations of a set of images, as typed tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import pandas as pd

from recycling.tables import Column, Schema

BOX = ["x_min", "y_min", "x_max", "y_max"]
"""The four columns of a box: pixels, float64, origin at the top left of the image."""

BOX_COLUMNS = (
    Column("x_min", "float64", "left edge of the box, pixels"),
    Column("y_min", "float64", "top edge of the box, pixels"),
    Column("x_max", "float64", "right edge of the box, pixels"),
    Column("y_max", "float64", "bottom edge of the box, pixels"),
)
"""The edges of a box, in every table of boxes."""

IMAGES = Schema(
    "images",
    (
        Column("image_id", "int64", "the image's number", unique=True),
        Column("file_name", "string", "path below the image folder, with forward slashes"),
        Column("width", "int64", "pixels", minimum=1),
        Column("height", "int64", "pixels", minimum=1),
        Column("group", "string", "images that must stay in one fold share a group"),
        Column("extra", "string", "JSON of the keys that no other column holds", nullable=True),
    ),
)

ANNOTATIONS = Schema(
    "annotations",
    (
        Column("annotation_id", "int64", "the annotation's number", unique=True),
        Column("image_id", "int64", "the image that it is on"),
        Column("category_id", "int64", "what it is"),
        *BOX_COLUMNS,
        Column("area", "float64", "square pixels of its mask, or of its box where it has none"),
        Column(
            "segmentation",
            "string",
            "JSON of COCO polygons or RLE; missing where there is only a box",
            nullable=True,
        ),
        Column("iscrowd", "bool", "a region to leave out of training and evaluation"),
        Column("source", "string", "who made it", values=("human", "pseudo")),
        Column("score", "float64", "confidence; 1 for people", minimum=0, maximum=1),
        Column("extra", "string", "JSON of the keys that no other column holds", nullable=True),
    ),
)

CATEGORIES = Schema(
    "categories",
    (
        Column("category_id", "int64", "the category's number", unique=True),
        Column("name", "string", "the category's name"),
        Column("supercategory", "string", "the family that it belongs to"),
        Column("extra", "string", "JSON of the keys that no other column holds", nullable=True),
    ),
)


SCHEMAS = {"images": IMAGES, "annotations": ANNOTATIONS, "categories": CATEGORIES}
"""The tables of `Annotations`, by their attributes' names."""


def own_group(image_id: int, taken: Collection[str]) -> str:
    """The group of an image that has none: a group of its own.

    Args:
        image_id: The image.
        taken: The groups that other images are in.

    >>> own_group(11, {"7"}), own_group(11, {"11"})
    ('11', 'image 11')
    """
    group = str(image_id)
    while group in taken:
        group = f"image {group}"
    return group


def free_ids(taken: Collection[int], n: int) -> list[int]:
    """Ids that nothing has: those after the highest or, where int64 ends, the smallest from 0.

    Args:
        taken: The ids that there are.
        n: How many are wanted.

    >>> free_ids({4, 7}, 2), free_ids({0, 2**63 - 1}, 2)
    ([8, 9], [1, 2])
    """
    first = max(taken, default=-1) + 1
    if first + n <= 2**63:
        return list(range(first, first + n))
    return list(islice((number for number in count() if number not in taken), n))


class AnnotationError(ValueError):
    """An annotation file is not what it should be: one line, the file, the row, the fault."""


@dataclass(frozen=True, eq=False)  # tables have no truth value that could be compared
class Annotations:
    """Images, what is annotated on them, and the categories used.

    The i-th row of `categories` is class index i for the training libraries, and value
    ``i + 1`` in a label map (0 is background, 255 is "ignore").

    Attributes:
        images: One row an image; schema `IMAGES`.
        annotations: One row an annotation; schema `ANNOTATIONS`.
        categories: One row a category; schema `CATEGORIES`.
        extra: Whatever else the COCO file held at its top level, so that nothing is lost.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    categories: pd.DataFrame
    extra: Mapping[str, Any] = field(default_factory=dict)

    def of_images(self, image_ids: pd.Series | list[int]) -> Annotations:
        """The same annotations, for some of the images only."""
        images, table = (
            rows[rows["image_id"].isin(image_ids)].reset_index(drop=True)
            for rows in (self.images, self.annotations)
        )
        return replace(self, images=images, annotations=table)

    def objects(self) -> Annotations:
        """The same annotations without crowd regions, which count as no objects."""
        table = self.annotations
        return replace(self, annotations=table[~table["iscrowd"]].reset_index(drop=True))

    def conform(self, prefix: str = "") -> Annotations:
        """The same annotations, with each table in the form of its schema.

        Args:
            prefix: What comes before a table's name in a message, such as "clean ".

        Raises:
            TableError: As `Schema.conform` says it.
        """
        tables: dict[str, Any] = {
            name: schema.conform(getattr(self, name), where=f"{prefix}{name}")
            for name, schema in SCHEMAS.items()
        }
        return replace(self, **tables)


@dataclass(frozen=True)
class ImageFolder:
    """A folder of images; `file_name` in an images table is relative to it.

    >>> Path(ImageFolder(Path("data/01_raw/images")))
    PosixPath('data/01_raw/images')

    Attributes:
        path: The folder.
    """

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class LabeledImages:
    """Annotations with the folder of their images."""

    annotations: Annotations
    folder: ImageFolder
