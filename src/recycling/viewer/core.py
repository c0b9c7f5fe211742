"""Sets of images with what is annotated on them, and what is chosen of them."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations, ImageFolder
from recycling.evaluation import is_of_size
from recycling.limits import limits
from recycling.reporting.layout import category_colours


class ViewerError(ValueError):
    """What an address or a user asks for is not there: one line, what, and what there is."""


@dataclass(frozen=True)
class Category:
    """A category, as it is shown everywhere.

    Attributes:
        category_id: Its number.
        name: Its name.
        colour: As HTML has it, such as `#2f7ed8`.
    """

    category_id: int
    name: str
    colour: str


@dataclass(frozen=True)
class ImageSet:
    """A set of images with what is annotated on them.

    Attributes:
        name: The dataset of its annotations.
        annotations: The annotations.
        folder: The folder of the images.
    """

    name: str
    annotations: Annotations
    folder: ImageFolder

    @cached_property
    def categories(self) -> dict[int, Category]:
        """The categories by id, in the order of the table."""
        return categories_of(self.annotations.categories)

    @cached_property
    def images(self) -> dict[int, dict[str, Any]]:
        """The rows of the images by id, in the order of the table."""
        rows = self.annotations.images.to_dict("records")
        return {int(row["image_id"]): {str(key): row[key] for key in row} for row in rows}

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], pd.DataFrame]:
        table = self.annotations.annotations.sort_values("image_id", kind="stable")
        return table["image_id"].to_numpy(dtype=np.int64), table

    def on(self, image_id: int) -> pd.DataFrame:
        """The annotations of one image, in the order of the table."""
        ids, table = self._sorted
        first, last = np.searchsorted(ids, [image_id, image_id + 1])
        return table.iloc[first:last]

    def image(self, image_id: int) -> dict[str, Any]:
        """The row of an image.

        Raises:
            ViewerError: There is no such image.
        """
        if image_id not in self.images:
            raise ViewerError(f"{self.name}: no image {image_id}; there are {len(self.images):,}")
        return self.images[image_id]

    def size(self, image_id: int) -> tuple[int, int]:
        """Height and width of an image, pixels.

        Raises:
            ViewerError: There is no such image.
        """
        image = self.image(image_id)
        return int(image["height"]), int(image["width"])

    def file(self, image_id: int) -> Path:
        """The file of an image.

        Raises:
            ViewerError: There is no such image, or its file lies outside the folder.
        """
        name = self.image(image_id)["file_name"]
        root = self.folder.path.resolve()
        path = Path(os.path.normpath(root / name))
        followed = path.resolve() if limits().links == "inside" else path
        if not followed.is_relative_to(root):
            raise ViewerError(f"{name}: lies outside {self.folder.path}, and is not shown")
        return path


def categories_of(table: pd.DataFrame) -> dict[int, Category]:
    """The categories by id, each with the colour that it has in every figure.

    Args:
        table: Schema `recycling.annotations.CATEGORIES`.

    >>> table = pd.DataFrame({"category_id": [7], "name": ["Glass"]})
    >>> categories_of(table)[7].name
    'Glass'
    """
    colours = category_colours(len(table))
    return {
        int(number): Category(int(number), str(name), "#{:02x}{:02x}{:02x}".format(*colour))
        for number, name, colour in zip(table["category_id"], table["name"], colours, strict=True)
    }


def data_address(kind: str, content: bytes) -> str:
    """An image in its own address.

    Args:
        kind: Its format: `png` or `jpeg`.
        content: Its file.

    >>> data_address("png", b"abc")
    'data:image/png;base64,YWJj'
    """
    return f"data:image/{kind};base64,{b64encode(content).decode('ascii')}"


def chosen_images(
    images: ImageSet,
    *,
    category_id: int | None = None,
    size: str | None = None,
    group: str | None = None,
    fold: int | None = None,
    folds: dict[int, int] | None = None,
) -> list[int]:
    """The ids of the images that all conditions are true of, in the order of the table.

    Args:
        images: The images.
        category_id: They show one of this category.
        size: They show one of this size (and of that category).
        group: They are of this group.
        fold: They are of this fold.
        folds: The fold of each image.
    """
    table = images.annotations.images
    keep = np.ones(len(table), dtype=np.bool_)
    if category_id is not None or size is not None:
        shown = chosen_annotations(images, category_id=category_id, size=size)
        keep &= table["image_id"].isin(shown["image_id"]).to_numpy()
    if group is not None:
        keep &= (table["group"] == group).to_numpy(dtype=np.bool_)
    if fold is not None:
        keep &= (table["image_id"].map(folds or {}) == fold).to_numpy(dtype=np.bool_)
    return [int(number) for number in table.loc[keep, "image_id"]]


def chosen_annotations(
    images: ImageSet,
    *,
    category_id: int | None = None,
    size: str | None = None,
    image_ids: Sequence[int] | None = None,
    crowds: bool = True,
    order: Literal["table", "largest", "smallest"] = "table",
) -> pd.DataFrame:
    """The annotations that all conditions are true of.

    Args:
        images: The images that they are on.
        category_id: Of this category.
        size: Of this size, by their area: one of `recycling.evaluation.SIZES`.
        image_ids: On these images.
        crowds: Whether crowd regions are among them, which count as no objects.
        order: As in the table, or by area.
    """
    table = (images.annotations if crowds else images.annotations.objects()).annotations
    keep = np.ones(len(table), dtype=np.bool_)
    if category_id is not None:
        keep &= (table["category_id"] == category_id).to_numpy()
    if size is not None:
        keep &= is_of_size(table["area"], size).to_numpy()
    if image_ids is not None:
        keep &= table["image_id"].isin(image_ids).to_numpy()
    found = table[keep]
    if order == "table":
        return found
    return found.sort_values("area", ascending=order == "smallest", kind="stable")


def search_images(images: ImageSet, ids: list[int], text: str | None) -> list[int]:
    """Those images whose file name holds a text, or whose id it is.

    Args:
        images: The set.
        ids: Among these.
        text: What is looked for; None for all.
    """
    if text is None:
        return ids
    looked_for = text.casefold()
    return [
        image_id
        for image_id in ids
        if str(image_id) == text
        or looked_for in str(images.image(image_id)["file_name"]).casefold()
    ]
