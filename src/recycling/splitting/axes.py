"""What folds are balanced by: axes with names, each a few columns an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from recycling.annotations import Annotations

Axis = Literal["category_counts", "category_presence", "area_tercile", "number_of_categories"]
AXES: tuple[Axis, ...] = get_args(Axis)

MANY_CATEGORIES = 8
"""Images with this many categories or more are one stratum: there are few of them."""


def balance_columns(annotations: Annotations, axes: Sequence[Axis] = AXES) -> pd.DataFrame:
    """The columns to balance, side by side.

    Args:
        annotations: The images and what is on them.
        axes: Names of axes: `category_counts` (annotations of each category),
            `category_presence` (whether there is one), `area_tercile` (of the boxes' summed area),
            `number_of_categories` (distinct ones, 8 and over together).

    Returns:
        int64, one row an image, indexed by `image_id` in the order of the images; columns
        (axis, value), counts or indicators.
    """
    tables = {axis: _AXES[axis](annotations) for axis in axes}
    return pd.concat(tables, axis="columns", names=["axis", "value"])


def category_counts(annotations: Annotations) -> pd.DataFrame:
    """How many annotations of each category an image has; columns are the categories' names."""
    rows = pd.Index(annotations.images["image_id"]).get_indexer(annotations.annotations["image_id"])
    categories = annotations.categories
    columns = pd.Index(categories["category_id"]).get_indexer(
        annotations.annotations["category_id"]
    )
    counts = np.zeros((len(annotations.images), len(categories)), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return pd.DataFrame(counts, index=_image_index(annotations), columns=list(categories["name"]))


def category_presence(annotations: Annotations) -> pd.DataFrame:
    """Whether an image has each category; columns are the categories' names."""
    return (category_counts(annotations) > 0).astype("int64")


def area_tercile(annotations: Annotations) -> pd.DataFrame:
    """The third that an image belongs to by the summed area of its boxes.

    Boxes that overlap count twice; an image without any has area 0.
    """
    boxes = annotations.annotations.sort_values("annotation_id")
    area = (boxes["x_max"] - boxes["x_min"]) * (boxes["y_max"] - boxes["y_min"])
    summed = area.groupby(boxes["image_id"].to_numpy()).sum()
    of_image = summed.reindex(_image_index(annotations), fill_value=0.0).to_numpy()
    edges = np.quantile(of_image, [1 / 3, 2 / 3]) if len(of_image) else [0.0, 0.0]
    third = np.searchsorted(edges, of_image)
    return pd.DataFrame(
        {
            name: (third == i).astype(np.int64)
            for i, name in enumerate(("small", "medium", "large"))
        },
        index=_image_index(annotations),
    )


def number_of_categories(annotations: Annotations) -> pd.DataFrame:
    """How many distinct categories an image has; columns are the numbers, with 8 for 8 and over."""
    numbers = category_presence(annotations).sum(axis="columns").clip(upper=MANY_CATEGORIES)
    return pd.DataFrame(
        {str(number): (numbers == number).astype("int64") for number in sorted(numbers.unique())},
        index=_image_index(annotations),
    )


def _image_index(annotations: Annotations) -> pd.Index[int]:
    index: pd.Index[int] = pd.Index(annotations.images["image_id"], name="image_id")
    return index


_AXES = {
    "category_counts": category_counts,
    "category_presence": category_presence,
    "area_tercile": area_tercile,
    "number_of_categories": number_of_categories,
}
