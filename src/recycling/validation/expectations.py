"""What is expected of annotations: what their schemas say, and what a schema cannot say.

The tables are checked one by one. What holds between tables, or between columns, is measured first
and becomes a column of its own, so that each expectation is about one column and its failures name
the rows: `overhang` is the pixels by which a box leaves its image, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pandas as pd

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations
from recycling.tables import Column, Schema
from recycling.validation.baseline import CATEGORY_SHARES

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

Severity: TypeAlias = Literal["stop", "warn"]

SCHEMAS = (IMAGES, CATEGORIES, ANNOTATIONS)
"""The tables of annotations, in the order in which they are checked."""

KEYS = {
    schema.name: next(column.name for column in schema.columns if column.unique)
    for schema in (*SCHEMAS, CATEGORY_SHARES)
}
"""The column that names a row of each table."""

PIXEL_TOLERANCE = 0.01
"""Pixels that a box may leave its image by: `x + width` is not exact in floating point."""

AREA_TOLERANCE = 1.0
"""Pixels that a mask may leave its box by on each side: drawn masks have whole pixels."""

# What Great Expectations calls the types of a pandas table.
_TYPES = {"string": "str"}


@dataclass(frozen=True)
class Expected:
    """One thing that is expected of one table.

    Attributes:
        name: What messages and the configuration call it: the table, the column, and what of it.
        description: What is expected, in words that go on from "expected that".
        kind: Great Expectations' class for it.
        options: What that class is told, among it the `column`.
        severity: Whether a failure stops the run or is a warning.
    """

    name: str
    description: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "stop"

    @property
    def table(self) -> str:
        """The table that it is about."""
        return self.name.split(".")[0]

    def is_called(self, name: str) -> bool:
        """Whether a name means this expectation: its own, its column's or its table's."""
        return self.name == name or self.name.startswith(f"{name}.")


def tables_to_check(data: Annotations) -> dict[str, pd.DataFrame]:
    """The three tables, with the columns that are measured across tables.

    Args:
        data: Annotations whose tables have every column of their schemas.

    Returns:
        The tables by name, with rows that count from 0. `annotations` has these columns more:

        - `image_name`: the file name of the image it is on; missing if there is no such image.
        - `category_name`: the name of its category; missing if there is no such category.
        - `box_width`, `box_height`: pixels.
        - `overhang`: pixels by which the box leaves its image on its worst side, 0 if inside.
        - `area_excess`: square pixels by which its area is larger than its box, a little widened;
          missing for a box of no size.

        What is measured from a column of another type than the schema's is missing.
    """
    annotations = data.annotations.reset_index(drop=True)
    images = data.images.drop_duplicates("image_id").set_index("image_id")
    categories = data.categories.drop_duplicates("category_id").set_index("category_id")
    x_min, y_min, x_max, y_max, area = (
        pd.to_numeric(annotations[name], errors="coerce") for name in _MEASURED_FROM
    )
    box_width, box_height = x_max - x_min, y_max - y_min
    width, height = (
        pd.to_numeric(annotations["image_id"].map(images[side]), errors="coerce")
        for side in ("width", "height")
    )
    beyond = pd.DataFrame(
        {"left": -x_min, "top": -y_min, "right": x_max - width, "bottom": y_max - height}
    )
    largest_area = (box_width + 2 * AREA_TOLERANCE) * (box_height + 2 * AREA_TOLERANCE)
    has_size = (box_width > 0) & (box_height > 0)
    measured = {
        "image_name": annotations["image_id"].map(images["file_name"]),
        "category_name": annotations["category_id"].map(categories["name"]),
        "box_width": box_width,
        "box_height": box_height,
        "overhang": beyond.max(axis="columns", skipna=False).clip(lower=0),
        "area_excess": (area - largest_area).clip(lower=0).where(has_size),
    }
    return {
        IMAGES.name: data.images.reset_index(drop=True),
        CATEGORIES.name: data.categories.reset_index(drop=True),
        ANNOTATIONS.name: annotations.assign(**measured),
    }


_MEASURED_FROM = ("x_min", "y_min", "x_max", "y_max", "area")


def expected_of_annotations(category_names: Sequence[str] | None = None) -> list[Expected]:
    """What is expected of the three tables: what their schemas say, and what those cannot say.

    Args:
        category_names: The only names that categories may have; None for any.
    """
    return [
        *expected_of_schema(IMAGES),
        _has_rows(IMAGES),
        *expected_of_schema(CATEGORIES),
        _has_rows(CATEGORIES),
        *_of_category_names(category_names),
        *expected_of_schema(ANNOTATIONS),
        *_between_tables(),
    ]


def expected_of_schema(schema: Schema) -> list[Expected]:
    """What a schema says of a table and of each of its columns.

    Args:
        schema: The schema.

    >>> schema = Schema("folds", (Column("fold", "int64", "where it is validated", minimum=0),))
    >>> for each in expected_of_schema(schema):
    ...     print(f"{each.name}: expected that {each.description}")
    folds.columns: expected that the table has the columns fold
    folds.fold.type: expected that fold (where it is validated) holds int64
    folds.fold.missing: expected that fold is never missing
    folds.fold.range: expected that fold is at least 0
    """
    columns = Expected(
        f"{schema.name}.columns",
        f"the table has the columns {', '.join(schema.names)}",
        "ExpectTableColumnsToMatchSet",
        {"column_set": schema.names, "exact_match": False},
    )
    return [columns, *(each for column in schema.columns for each in _of_column(schema, column))]


def expected_of_shares(drift: float) -> list[Expected]:
    """What is expected of the table of category shares: a warning, unless told otherwise.

    Args:
        drift: How far a share may be from the baseline, percentage points.

    >>> expected_of_shares(2.0)[0].name
    'category_shares.drift'
    """
    return [
        Expected(
            f"{CATEGORY_SHARES.name}.drift",
            f"no category's share of the annotations is more than {drift:g} percentage points "
            "away from the baseline",
            "ExpectColumnValuesToBeBetween",
            {"column": "drift", "min_value": -drift, "max_value": drift},
            severity="warn",
        )
    ]


def expectation_suites(expected: Sequence[Expected]) -> dict[str, ExpectationSuite]:
    """The suites of Great Expectations.

    Args:
        expected: What is expected.

    Returns:
        A suite for each table, by the table's name. An expectation's name is in its `meta`.
    """
    from great_expectations import ExpectationSuite
    from great_expectations import expectations as gxe
    from great_expectations.expectations.metadata_types import FailureSeverity

    severities = {"stop": FailureSeverity.CRITICAL, "warn": FailureSeverity.WARNING}
    suites: dict[str, ExpectationSuite] = {}
    for each in expected:
        suite = suites.setdefault(each.table, ExpectationSuite(name=each.table))
        suite.expectations.append(
            getattr(gxe, each.kind)(
                **each.options,
                description=each.description,
                severity=severities[each.severity],
                meta={"name": each.name},
            )
        )
    return suites


def _of_column(schema: Schema, column: Column) -> Iterator[Expected]:
    name, low, high = column.name, column.minimum, column.maximum

    def expected(what: str, description: str, kind: str, **options: object) -> Expected:
        options["column"] = name
        return Expected(f"{schema.name}.{name}.{what}", description, kind, options)

    yield expected(
        "type",
        f"{name} ({column.description}) holds {column.dtype}",
        "ExpectColumnValuesToBeOfType",
        type_=_TYPES.get(column.dtype, column.dtype),
    )
    if not column.nullable:
        yield expected("missing", f"{name} is never missing", "ExpectColumnValuesToNotBeNull")
    if column.unique:
        yield expected("unique", f"every {name} occurs once only", "ExpectColumnValuesToBeUnique")
    if low is not None or high is not None:
        yield expected(
            "range",
            f"{name} is {_range(low, high)}",
            "ExpectColumnValuesToBeBetween",
            min_value=low,
            max_value=high,
        )
    if column.values is not None:
        yield expected(
            "values",
            f"{name} is one of {', '.join(column.values)}",
            "ExpectColumnValuesToBeInSet",
            value_set=list(column.values),
        )


def _range(minimum: float | None, maximum: float | None) -> str:
    if maximum is None:
        return f"at least {minimum:g}"
    if minimum is None:
        return f"at most {maximum:g}"
    return f"from {minimum:g} to {maximum:g}"


def _has_rows(schema: Schema) -> Expected:
    return Expected(
        f"{schema.name}.rows",
        f"there is at least one row of {schema.name}",
        "ExpectTableRowCountToBeBetween",
        {"min_value": 1},
    )


def _of_category_names(category_names: Sequence[str] | None) -> Iterator[Expected]:
    subject = f"{CATEGORIES.name}.name"
    yield Expected(
        f"{subject}.unique",
        "no two categories have the same name",
        "ExpectColumnValuesToBeUnique",
        {"column": "name"},
    )
    if category_names is not None:
        yield Expected(
            f"{subject}.values",
            f"the category is one of {', '.join(category_names)}",
            "ExpectColumnValuesToBeInSet",
            {"column": "name", "value_set": list(category_names)},
        )


def _between_tables() -> list[Expected]:
    """What is measured is expected of one thing only, and so is called by its column alone."""
    return [
        _present("image_name", "image_id is in the table of images"),
        _present("category_name", "category_id is in the table of categories"),
        _between("box_width", "the box is wider than nothing", min_value=0, strict_min=True),
        _between("box_height", "the box is higher than nothing", min_value=0, strict_min=True),
        _between("overhang", "the box lies inside its image", max_value=PIXEL_TOLERANCE),
        _between("area.range", "the area is not negative", min_value=0),
        _between("area_excess", "the area is not larger than the box", max_value=0),
    ]


def _present(name: str, description: str) -> Expected:
    kind = "ExpectColumnValuesToNotBeNull"
    return Expected(f"{ANNOTATIONS.name}.{name}", description, kind, {"column": name})


def _between(name: str, description: str, **limits: float) -> Expected:
    column = name.split(".")[0]
    kind = "ExpectColumnValuesToBeBetween"
    return Expected(f"{ANNOTATIONS.name}.{name}", description, kind, {"column": column, **limits})
