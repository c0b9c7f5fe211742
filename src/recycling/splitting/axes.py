"""What folds are balanced by: axes with names, each a few columns an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AfterValidator

from recycling.annotations import Annotations
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


def balance_columns(annotations: Annotations, axes: Sequence[str] = DEFAULT_AXES) -> pd.DataFrame:
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
    objects = annotations.objects()
    tables = {axis: _columns_of(objects, axis) for axis in axes}
    return pd.concat(tables, axis="columns", names=["axis", "value"])


def category_counts(annotations: Annotations) -> pd.DataFrame:
    """How many annotations of each category an image has; columns are the categories' names.

    >>> annotations = Annotations(
    ...     images=pd.DataFrame({"image_id": [1, 2]}),
    ...     annotations=pd.DataFrame({"image_id": [1, 1, 2], "category_id": [7, 7, 8]}),
    ...     categories=pd.DataFrame({"category_id": [7, 8], "name": ["Metal", "Glass"]}),
    ... )
    >>> category_counts(annotations).loc[1].to_dict()
    {'Metal': 2, 'Glass': 0}
    """
    table, categories = annotations.annotations, annotations.categories
    index, names = _image_index(annotations), list(categories["name"])
    image = index.get_indexer(pd.Index(table["image_id"]))
    category = pd.Index(categories["category_id"]).get_indexer(pd.Index(table["category_id"]))
    known = (image >= 0) & (category >= 0)
    # A table of pandas is made group by group, in Python: 16 s of a million annotations.
    cell = image[known] * len(names) + category[known]
    counts = np.bincount(cell, minlength=len(index) * len(names)).reshape(-1, len(names))
    return pd.DataFrame(counts, index=index, columns=names)


def category_presence(annotations: Annotations) -> pd.DataFrame:
    """Whether an image has each category; columns are the categories' names."""
    return (category_counts(annotations) > 0).astype("int64")


def area_tercile(annotations: Annotations) -> pd.DataFrame:
    """The third that an image belongs to by the area that annotations cover.

    Of masks where there are masks, else of boxes; what lies under another annotation counts once.
    An image without annotations has area 0. Source: report B, "overlaps removed before areas are
    summed".
    """
    from recycling.annotations.overlaps import visible_area

    # Who covers whom does not matter to the sum, but one order gives one rounding.
    ordered = Annotations(
        annotations.images,
        annotations.annotations.sort_values("annotation_id", ignore_index=True),
        annotations.categories,
    )
    return _area_terciles(annotations, ordered.annotations["image_id"], visible_area(ordered))


def box_area_tercile(annotations: Annotations) -> pd.DataFrame:
    """The third that an image belongs to by the summed area of its boxes.

    Boxes that overlap count twice; an image without any has area 0.
    """
    boxes = annotations.annotations.sort_values("annotation_id")
    area = (boxes["x_max"] - boxes["x_min"]) * (boxes["y_max"] - boxes["y_min"])
    return _area_terciles(annotations, boxes["image_id"], area.to_numpy())


def number_of_categories(annotations: Annotations) -> pd.DataFrame:
    """How many distinct categories an image has; columns are the numbers, with 8 for 8 and over."""
    numbers = category_presence(annotations).sum(axis="columns").clip(upper=MANY_CATEGORIES)
    return _indicators(annotations, numbers.astype(str), map(str, sorted(numbers.unique())))


def images_column(annotations: Annotations, name: str) -> pd.DataFrame:
    """The values of a column of the images table, or of a key of its `extra`.

    Text and few different numbers are one indicator a value; more than `MANY_NUMBERS` numbers are
    terciles. An image without a value belongs to "missing".

    Raises:
        SplitError: There is no such column, or it has more than `MANY_VALUES` different texts.
    """
    axis = f"{OF_IMAGES}{name}"
    values = image_column(annotations.images, name, where=f"axis {axis!r}")
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
    return _indicators(annotations, labels.reindex(values.index, fill_value=order[-1]), order)


def _columns_of(annotations: Annotations, axis: str) -> pd.DataFrame:
    if axis in _AXES:
        return _AXES[axis](annotations)
    if axis.startswith(OF_IMAGES):
        return images_column(annotations, axis.removeprefix(OF_IMAGES))
    raise SplitError(_no_axis(axis))


def _area_terciles(
    annotations: Annotations, image_id: pd.Series[int], area: NDArray[np.float64]
) -> pd.DataFrame:
    """Indicators of the third of each image, from areas of annotations."""
    summed = pd.Series(area).groupby(image_id.to_numpy()).sum()
    of_image = summed.reindex(_image_index(annotations), fill_value=0.0)
    return _indicators(annotations, _terciles(of_image), TERCILES)


def _terciles(values: pd.Series[float]) -> pd.Series[str]:
    """The third of the values that each belongs to; equal values share one."""
    edges = values.quantile([1 / 3, 2 / 3])
    third = np.searchsorted(edges, values)
    return pd.Series(np.array(TERCILES, dtype=object)[third], index=values.index)


def _indicators(
    annotations: Annotations, labels: pd.Series[str], order: Iterable[str]
) -> pd.DataFrame:
    """A column a label, in this order: 1 for the images that have it."""
    indicators = {label: (labels == label).to_numpy(np.int64) for label in order}
    return pd.DataFrame(indicators, index=_image_index(annotations))


def _image_index(annotations: Annotations) -> pd.Index[int]:
    index: pd.Index[int] = pd.Index(annotations.images["image_id"], name="image_id")
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
