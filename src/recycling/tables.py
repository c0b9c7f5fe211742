"""Schemas of the tables that flow through the project.

Each table is described once, here and in the rooms that own it; readers, writers, Great
Expectations suites and the docs all take the description from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

Dtype: TypeAlias = Literal["int64", "Int64", "float64", "Float64", "float32", "bool", "string"]
"""How pandas holds a column; ``Int64`` and ``Float64`` are those that may lack a value."""


class TableError(ValueError):
    """A table does not have the form that its schema describes."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: The column's name.
        dtype: How its values are held in memory.
        description: What a value means, with its unit.
        nullable: Whether a value may be missing (for ``string``, ``Int64`` and ``Float64``).
        unique: Whether a value may occur once only.
        minimum: Smallest value allowed, inclusive.
        maximum: Largest value allowed, inclusive.
        values: The only values allowed, if they are few.
    """

    name: str
    dtype: Dtype
    description: str
    nullable: bool = False
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order.

    Attributes:
        name: What the table is called in messages.
        columns: Its columns, in order.
        open_ended: Whether further columns may follow (class probabilities: one a class).
        optional: Columns that a table may have beside, and keeps if it has them.
    """

    name: str
    columns: tuple[Column, ...]
    open_ended: bool = False
    optional: tuple[Column, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]

    def empty(self) -> pd.DataFrame:
        """A table of this form with no rows."""
        return pd.DataFrame({column.name: pd.Series(dtype=column.dtype) for column in self.columns})

    def conform(self, frame: pd.DataFrame, *, where: str) -> pd.DataFrame:
        """Put the columns in order, give them their types, and check their values.

        Args:
            frame: The table, with at least this schema's columns.
            where: What to call the table in a message: a file's or a dataset's name.

        Returns:
            A table with this schema's columns in order, the optional ones that it has after them,
            a fresh 0-based index, and nothing else unless the schema is open-ended.

        Raises:
            TableError: One line that names `where`, the column, the first bad row and the fault.

        >>> folds = Schema("folds", (Column("fold", "int64", "from 0", minimum=0),))
        >>> folds.conform(pd.DataFrame({"fold": [1.0, 0.0]}), where="a")
           fold
        0     1
        1     0
        >>> folds.conform(pd.DataFrame({"part": [1]}), where="a")
        Traceback (most recent call last):
        ...
        recycling.tables.TableError: a: no column 'fold'; a table of folds has the columns fold
        """
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise TableError(
                f"{where}: no column {missing[0]!r}; a table of {self.name} has the columns "
                f"{', '.join(self.names)}"
            )
        columns = [
            *self.columns,
            *(column for column in self.optional if column.name in frame.columns),
        ]
        names = [column.name for column in columns]
        extra = [name for name in frame.columns if name not in names]
        ordered = frame[names + (extra if self.open_ended else [])].reset_index(drop=True)
        own = {name: ordered[name] for name in names}
        typed = {column.name: _typed(own[column.name], column, where) for column in columns}
        changed = {name: typed[name] for name in typed if typed[name] is not own[name]}
        result = ordered.assign(**changed) if changed else ordered
        for column in columns:
            _check_values(typed[column.name], column, where)
        return result


def _typed(series: pd.Series, column: Column, where: str) -> pd.Series:
    if str(series.dtype) == column.dtype:
        return series
    if column.dtype == "int64" and pd.api.types.is_float_dtype(series):
        _check_whole(series, column, where)
    try:
        return series.astype(column.dtype)
    except (TypeError, ValueError) as error:
        raise TableError(
            f"{where}: column {column.name!r} should hold {column.dtype}: {error}"
        ) from error


def _check_whole(series: pd.Series, column: Column, where: str) -> None:
    """Refuse numbers that numpy would round or wrap around to whole ones."""
    whole = (series % 1 == 0) & (series.abs() < 2**63)
    bad = (~whole & series.notna()).to_numpy(dtype=bool)
    if bad.any():
        row = int(bad.argmax())
        raise TableError(
            f"{where}: row {row}: {column.name} is no whole number (value "
            f"{float(series.iloc[row])!r}); {int(bad.sum())} of {len(series)} rows are like that"
        )


def _check_values(series: pd.Series, column: Column, where: str) -> None:
    # Without pandas where it can be: a search checks hundreds of tables.
    values: Any = series.to_numpy() if isinstance(series.dtype, np.dtype) else series
    faults: list[tuple[Any, str]] = []
    if not column.nullable and column.dtype not in ("int64", "bool"):
        faults.append((pd.isna(values), "is missing"))
    if column.dtype in ("float64", "float32"):
        faults.append((~np.isfinite(values), "is not finite"))
    if column.unique:
        faults.append((series.duplicated(), "occurs a second time"))
    if column.minimum is not None:
        faults.append((values < column.minimum, f"is below {column.minimum:g}"))
    if column.maximum is not None:
        faults.append((values > column.maximum, f"is above {column.maximum:g}"))
    if column.values is not None:
        other = ~series.isin(column.values) & series.notna()
        faults.append((other, f"is none of {', '.join(column.values)}"))
    for bad, what in faults:
        if bad.any():
            row = int(np.asarray(bad).argmax())
            raise TableError(
                f"{where}: row {row}: {column.name} {what} (value {series.iloc[row]!r}); "
                f"{int(bad.sum())} of {len(series)} rows are like that"
            )


@dataclass(frozen=True)
class TableType:
    """A table that a catalog entry may hold.

    Attributes:
        schema: Its form.
        type: What the annotations of functions call it: a `typing.NewType` of `pandas.DataFrame`.
    """

    schema: Schema
    type: Any


TABLES: dict[str, TableType] = {}
"""The tables that a catalog entry may hold, by the name that it gives as `table`."""


def register_table(name: str, schema: Schema, kind: Any) -> None:
    """Let catalog entries hold a table.

    Args:
        name: What an entry calls it.
        schema: Its form.
        kind: What the annotations of functions call it.

    Raises:
        ValueError: Another table has that name.
    """
    if name in TABLES:
        raise ValueError(f"a table is called {name!r} already; choose another name")
    TABLES[name] = TableType(schema, kind)
