"""What a check of tables found, taken from Great Expectations' results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from recycling.validation.baseline import CATEGORY_SHARES
from recycling.validation.expectations import KEYS, Expected

if TYPE_CHECKING:
    from great_expectations.core import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )

LISTED_ROWS = 20
"""Rows that are kept of those that are not as expected; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """Whether a table is as expected, in one respect.

    Attributes:
        expected: What was expected.
        met: Whether it is so.
        rows: The first rows that are not so, with every column; none if it is about no row.
        count: How many rows are not so; None if it is about no row.
        total: How many rows the table has.
        note: What was found in place of it, if it is about no row; empty if it is met.
    """

    expected: Expected
    met: bool
    rows: pd.DataFrame
    count: int | None
    total: int
    note: str = ""

    @property
    def outcome(self) -> Literal["met", "stop", "warn"]:
        """That it is met, or what its failure does."""
        return "met" if self.met else self.expected.severity

    @property
    def examples(self) -> list[str]:
        """The rows that are kept, each by its id; a category by its share before and now."""
        if self.expected.table == CATEGORY_SHARES.name:
            return [
                f"{row.category_name} {row.baseline:.1f} % -> {row.share:.1f} %"
                for row in self.rows.itertuples()
            ]
        key = KEYS[self.expected.table]
        return [f"{key} {value}" for value in self.rows[key]] if self.count else []

    @property
    def fault(self) -> str:
        """What is wrong, in a few words."""
        return (
            f"not so in {self.count} row(s)" if self.count is not None else f"not so: {self.note}"
        )


def findings(
    tables: Mapping[str, pd.DataFrame],
    expected: Sequence[Expected],
    results: Mapping[str, ExpectationSuiteValidationResult],
) -> list[Finding]:
    """What Great Expectations' results say of each thing that was expected.

    Args:
        tables: The tables that were checked, by name, with rows that count from 0.
        expected: What was expected of them.
        results: What came out, by the table's name.

    Returns:
        A finding for each thing expected, in that order.
    """
    by_name = {
        result.expectation_config.meta["name"]: result
        for suite in results.values()
        for result in suite.results
    }
    return [_finding(each, by_name[each.name], tables[each.table]) for each in expected]


def _finding(
    expected: Expected, result: ExpectationValidationResult, table: pd.DataFrame
) -> Finding:
    if result.success:
        return Finding(expected, True, table[:0], None, len(table))
    found = result.result
    count = found.get("unexpected_count")
    rows = found.get("partial_unexpected_index_list") or []
    note = next(_raised(result.exception_info), f"found {found.get('observed_value')}")
    return Finding(
        expected,
        False,
        table.loc[rows[:LISTED_ROWS]],
        int(count) if count is not None else None,
        len(table),
        note,
    )


def _raised(info: Mapping[str, object]) -> Iterator[str]:
    """The errors that Great Expectations met; it nests them under the metric's name."""
    for each in (info, *info.values()):
        if isinstance(each, Mapping) and (message := each.get("exception_message")):
            yield f"the check itself failed: {' '.join(str(message).split())}"
