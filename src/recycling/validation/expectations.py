"""What is expected of annotations, written once from their schemas.

The three tables are checked one by one. What holds between tables, or between columns, is
measured first and becomes a column of its own, so that each expectation is about one column and
its failures name the rows: `overhang` is the pixels by which a box leaves its picture, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.tables import Column, Schema

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

SCHEMAS = (IMAGES, CATEGORIES, ANNOTATIONS)
"""The tables, in the order in which they are checked."""

KEYS = {IMAGES.name: "image_id", CATEGORIES.name: "category_id", ANNOTATIONS.name: "annotation_id"}
"""The column that names a row of each table."""

PIXEL_TOLERANCE = 0.01
"""Pixels that a box may leave its picture by: `x + width` is not exact in floating point."""

AREA_TOLERANCE = 1.0
"""Pixels that a mask may leave its box by on each side: drawn masks have whole pixels."""

# What Great Expectations calls the types of a pandas table.
_TYPES = {"string": "str"}


def tables_to_check(data: Annotations) -> dict[str, pd.DataFrame]:
    """The three tables, with the columns that are measured across tables.

    Args:
        data: Annotations whose tables have every column of their schemas.

    Returns:
        The tables by name. `annotations` has these columns more:

        - `image_name`: the file name of the image it is on; missing if there is no such image.
        - `category_name`: the name of its category; missing if there is no such category.
        - `box_width`, `box_height`: pixels.
        - `overhang`: pixels by which the box leaves its picture on its worst side, 0 if inside.
        - `area_excess`: square pixels of its area that its box, a little widened, has no room
          for; missing for a box of no size.
    """
    annotations = data.annotations
    images = data.images.drop_duplicates("image_id").set_index("image_id")
    categories = data.categories.drop_duplicates("category_id").set_index("category_id")
    box_width = annotations["x_max"] - annotations["x_min"]
    box_height = annotations["y_max"] - annotations["y_min"]
    beyond = pd.DataFrame(
        {
            "left": -annotations["x_min"],
            "top": -annotations["y_min"],
            "right": annotations["x_max"] - annotations["image_id"].map(images["width"]),
            "bottom": annotations["y_max"] - annotations["image_id"].map(images["height"]),
        }
    )
    room = (box_width + 2 * AREA_TOLERANCE) * (box_height + 2 * AREA_TOLERANCE)
    has_size = (box_width > 0) & (box_height > 0)
    measured = {
        "image_name": annotations["image_id"].map(images["file_name"]),
        "category_name": annotations["category_id"].map(categories["name"]),
        "box_width": box_width,
        "box_height": box_height,
        "overhang": beyond.max(axis="columns", skipna=False).clip(lower=0),
        "area_excess": (annotations["area"] - room).clip(lower=0).where(has_size),
    }
    return {
        IMAGES.name: data.images,
        CATEGORIES.name: data.categories,
        ANNOTATIONS.name: annotations.assign(**measured),
    }


def expectation_suites(category_names: Sequence[str] | None = None) -> dict[str, ExpectationSuite]:
    """The suites of the three tables.

    Args:
        category_names: The only names that categories may have; None for any.

    Returns:
        A suite for each table, by the table's name.
    """
    from great_expectations import ExpectationSuite

    further = {
        IMAGES.name: [_has_rows(IMAGES)],
        CATEGORIES.name: [_has_rows(CATEGORIES), *_of_category_names(category_names)],
        ANNOTATIONS.name: _between_tables(),
    }
    return {
        schema.name: ExpectationSuite(
            name=schema.name, expectations=_from_schema(schema) + further[schema.name]
        )
        for schema in SCHEMAS
    }


def _from_schema(schema: Schema) -> list[Expectation]:
    from great_expectations import expectations as gxe

    columns = gxe.ExpectTableColumnsToMatchSet(
        column_set=schema.names,
        exact_match=False,
        description=f"the table has the columns {', '.join(schema.names)}",
    )
    return [columns, *(each for column in schema.columns for each in _from_column(column))]


def _from_column(column: Column) -> list[Expectation]:
    from great_expectations import expectations as gxe

    name = column.name
    expected: list[Expectation] = [
        gxe.ExpectColumnValuesToBeOfType(
            column=name,
            type_=_TYPES.get(column.dtype, column.dtype),
            description=f"{name} ({column.description}) holds {column.dtype}",
        )
    ]
    if not column.nullable:
        expected.append(
            gxe.ExpectColumnValuesToNotBeNull(column=name, description=f"{name} is never missing")
        )
    if column.unique:
        expected.append(
            gxe.ExpectColumnValuesToBeUnique(
                column=name, description=f"every {name} occurs once only"
            )
        )
    if column.minimum is not None or column.maximum is not None:
        expected.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=name,
                min_value=column.minimum,
                max_value=column.maximum,
                description=f"{name} is {_range(column.minimum, column.maximum)}",
            )
        )
    if column.values is not None:
        expected.append(
            gxe.ExpectColumnValuesToBeInSet(
                column=name,
                value_set=list(column.values),
                description=f"{name} is one of {', '.join(column.values)}",
            )
        )
    return expected


def _range(minimum: float | None, maximum: float | None) -> str:
    if maximum is None:
        return f"at least {minimum:g}"
    if minimum is None:
        return f"at most {maximum:g}"
    return f"from {minimum:g} to {maximum:g}"


def _has_rows(schema: Schema) -> Expectation:
    from great_expectations import expectations as gxe

    return gxe.ExpectTableRowCountToBeBetween(
        min_value=1, description=f"there is at least one row of {schema.name}"
    )


def _of_category_names(category_names: Sequence[str] | None) -> list[Expectation]:
    from great_expectations import expectations as gxe

    expected: list[Expectation] = [
        gxe.ExpectColumnValuesToBeUnique(
            column="name", description="no two categories have the same name"
        )
    ]
    if category_names is not None:
        expected.append(
            gxe.ExpectColumnValuesToBeInSet(
                column="name",
                value_set=list(category_names),
                description=f"the category is one of {', '.join(category_names)}",
            )
        )
    return expected


def _between_tables() -> list[Expectation]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column="image_name", description="image_id is in the table of images"
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="category_name", description="category_id is in the table of categories"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="box_width",
            min_value=0,
            strict_min=True,
            description="the box is wider than nothing",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="box_height",
            min_value=0,
            strict_min=True,
            description="the box is higher than nothing",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="overhang",
            min_value=0,
            max_value=PIXEL_TOLERANCE,
            description="the box lies inside its picture",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="area", min_value=0, description="the area is not negative"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="area_excess",
            min_value=0,
            max_value=0,
            description="the area is not larger than the box",
        ),
    ]
