"""What folds are balanced by: axes with names, each a few columns an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import AfterValidator

from recycling.annotations import Annotations, StoredAnnotations
from recycling.splitting.contents import Contents, contents_of
from recycling.splitting.core import SplitError
from recycling.splitting.image_columns import as_label, image_column

DEFAULT_AXES = ("category_counts", "category_presence", "area_tercile", "number_of_categories")
"""What is balanced and measured unless a setting says otherwise."""

OF_IMAGES = "images."
"""What the name of an axis starts with that is a column of the images table."""

MANY_CATEGORIES = 8
"""Images with this many categories or more are one stratum: there are few of them."""

MANY_NUMBERS = 10
"""A column of more different numbers than this is balanced by terciles, not by value."""

MANY_VALUES = 100
"""A column of more different texts than this says nothing that folds could share."""

TERCILES = ("small", "medium", "large")


def balance_columns(
    annotations: Annotations | StoredAnnotations, axes: Sequence[str] = DEFAULT_AXES
) -> pd.DataFrame:
    """The columns to balance, side by side.

    Args:
        annotations: The images and what is on them.
        axes: Names of axes: `category_counts` (annotations of each category),
            `category_presence` (whether there is one), `area_tercile` (of the area that
            annotations cover, overlaps once), `box_area_tercile` (of the boxes' summed area),
            `number_of_categories` (distinct ones, 8 and over together), and `images.` with a
            column of the images table or a key of its `extra`.

    Returns:
        int64, one row an image, indexed by `image_id` in the order of the images; columns
        (axis, value), counts or indicators. Crowd regions are no objects: they count for nothing.

    Raises:
        SplitError: There is no such axis or column, or a column has too many values.
    """
    return columns_of(contents_of(annotations), axes)


def columns_of(contents: Contents, axes: Sequence[str]) -> pd.DataFrame:
    """The columns to balance, side by side; see `balance_columns`."""
    tables = {axis: _columns_of(contents, axis) for axis in axes}
    return pd.concat(tables, axis="columns", names=["axis", "value"])


def category_counts(contents: Contents) -> pd.DataFrame:
    """How many objects of each category an image has; columns are the categories' names."""
    names = list(contents.categories["name"])
    return pd.DataFrame(contents.counts, index=_image_index(contents), columns=names)


def category_presence(contents: Contents) -> pd.DataFrame:
    """Whether an image has each category; columns are the categories' names."""
    return (category_counts(contents) > 0).astype("int64")


def area_tercile(contents: Contents) -> pd.DataFrame:
    """The third that an image belongs to by the area that annotations cover.

    Of masks where there are masks, else of boxes; what lies under another annotation counts once.
    An image without annotations has area 0. Source: report B, "overlaps removed before areas are
    summed".
    """
    return _indicators(contents, _terciles(pd.Series(contents.covered)), TERCILES)


def box_area_tercile(contents: Contents) -> pd.DataFrame:
    """The third that an image belongs to by the summed area of its boxes.

    Boxes that overlap count twice; an image without any has area 0.
    """
    return _indicators(contents, _terciles(pd.Series(contents.box_areas)), TERCILES)


def number_of_categories(contents: Contents) -> pd.DataFrame:
    """How many distinct categories an image has; columns are the numbers, with 8 for 8 and over."""
    numbers = pd.Series((contents.counts > 0).sum(axis=1).clip(max=MANY_CATEGORIES))
    return _indicators(contents, numbers.astype(str), map(str, sorted(numbers.unique())))


def images_column(contents: Contents, name: str) -> pd.DataFrame:
    """The values of a column of the images table, or of a key of its `extra`.

    Text and few different numbers are one indicator a value; more than `MANY_NUMBERS` numbers are
    terciles. An image without a value belongs to "missing".

    Raises:
        SplitError: There is no such column, or it has more than `MANY_VALUES` different texts.
    """
    axis = f"{OF_IMAGES}{name}"
    values = image_column(contents.images, name, where=f"axis {axis!r}")
    present = values.dropna()
    if all(_is_number(value) for value in present) and present.nunique() > MANY_NUMBERS:
        labels, order = _terciles(present.astype("float64")), list(TERCILES)
    else:
        labels = present.map(as_label)
        order = sorted(set(labels))
    if len(order) > MANY_VALUES:
        raise SplitError(
            f"axis {axis!r} has {len(order)} different values on {len(values)} images, more than "
            f"the {MANY_VALUES} that can be balanced; leave it out"
        )
    if len(present) < len(values):
        # Whatever the texts are, this column is none of them.
        order.append("missing" if "missing" not in order else "(missing)")
    return _indicators(contents, labels.reindex(values.index, fill_value=order[-1]), order)


def _columns_of(contents: Contents, axis: str) -> pd.DataFrame:
    if axis in _AXES:
        return _AXES[axis](contents)
    if axis.startswith(OF_IMAGES):
        return images_column(contents, axis.removeprefix(OF_IMAGES))
    raise SplitError(_no_axis(axis))


def _terciles(values: pd.Series[float]) -> pd.Series[str]:
    """The third of the values that each belongs to; equal values share one."""
    edges = values.quantile([1 / 3, 2 / 3])
    third = np.searchsorted(edges, values)
    return pd.Series(np.array(TERCILES, dtype=object)[third], index=values.index)


def _indicators(contents: Contents, labels: pd.Series[str], order: Iterable[str]) -> pd.DataFrame:
    """A column a label, in this order: 1 for the images that have it."""
    indicators = {label: (labels == label).to_numpy(np.int64) for label in order}
    return pd.DataFrame(indicators, index=_image_index(contents))


def _image_index(contents: Contents) -> pd.Index[int]:
    index: pd.Index[int] = pd.Index(contents.images["image_id"], name="image_id")
    return index


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


_AXES = {
    "category_counts": category_counts,
    "category_presence": category_presence,
    "area_tercile": area_tercile,
    "box_area_tercile": box_area_tercile,
    "number_of_categories": number_of_categories,
}

AXES = tuple(_AXES)
"""The axes that every data set has; further ones are columns of the images table."""


def _no_axis(axis: str) -> str:
    return f"there is no axis {axis!r}; there are {', '.join(AXES)} and {OF_IMAGES}<column>"


def _known(axis: str) -> str:
    if axis not in _AXES and axis.removeprefix(OF_IMAGES) in ("", axis):
        raise ValueError(_no_axis(axis))
    return axis


Axis = Annotated[str, AfterValidator(_known)]
"""The name of an axis, as a setting."""
