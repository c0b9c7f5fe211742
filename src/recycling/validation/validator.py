"""A validator for the annotations of Kedro's catalog."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kedro.validation import CheckFailure, DataValidationError

from recycling.annotations import Annotations
from recycling.validation.data_docs import check_tables
from recycling.validation.expectations import KEYS, SCHEMAS, expectation_suites, tables_to_check

if TYPE_CHECKING:
    from great_expectations.core import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )

logger = logging.getLogger(__name__)

_EXAMPLES = 5

# Great Expectations keeps its project in a global; Kedro may validate from several threads.
_GREAT_EXPECTATIONS = threading.Lock()


class AnnotationsValidator:
    """Checks annotations with Great Expectations, and writes its Data Docs.

    To be named in a catalog entry::

        validator:
          class: recycling.validation.AnnotationsValidator
          severity: warn
          "on": [load]
          options: {name: raw_annotations, data_docs: data/08_reporting/data_docs}

    Args:
        name: What the annotations are called; their Data Docs go to a folder of this name.
        data_docs: Folder of the Data Docs, relative to the current one; None writes none.
        categories: The only names that categories may have; None for any.
    """

    def __init__(
        self,
        name: str,
        data_docs: str | None = None,
        categories: Sequence[str] | None = None,
    ) -> None:
        if not name or Path(name).name != name:
            raise ValueError(f"name should be a plain name, as of a file, and is {name!r}")
        self.name = name
        self.data_docs = Path(data_docs, name) if data_docs is not None else None
        self.categories = categories

    def validate(self, data: Annotations) -> Annotations:
        """Check annotations.

        Args:
            data: The annotations.

        Returns:
            The same annotations, untouched.

        Raises:
            DataValidationError: Something is not as expected; one line for each expectation that
                failed, with the number of rows and the ids of the first five.
        """
        self._check_form(data)
        _quieten(logging.getLogger("great_expectations"))
        with _GREAT_EXPECTATIONS:
            results = check_tables(
                self.name,
                tables_to_check(data),
                expectation_suites(self.categories),
                KEYS,
                self.data_docs,
            )
        pages = ""
        if self.data_docs is not None:
            pages = str(self.data_docs / "index.html")
            logger.info("Data Docs of %s: %s", self.name, pages)
        failures = [failure for table in results for failure in _failures(table, results[table])]
        if failures:
            raise self._error(failures, f"see {pages}" if pages else "")
        return data

    def _check_form(self, data: Annotations) -> None:
        if not isinstance(data, Annotations):
            raise DataValidationError(
                f"{self.name}: should be Annotations and is {type(data).__name__}; use the "
                "validator on a dataset of annotations only"
            )
        tables = (data.images, data.categories, data.annotations)
        failures = [
            CheckFailure(
                message=f"{schema.name} has no column {column!r}",
                check=f"the table has the columns {', '.join(schema.names)}",
                column=f"{schema.name}.{column}",
            )
            for schema, table in zip(SCHEMAS, tables, strict=True)
            for column in schema.names
            if column not in table.columns
        ]
        if failures:
            raise self._error(failures, "")

    def _error(self, failures: Sequence[CheckFailure], advice: str) -> DataValidationError:
        lines = [f"{self.name}: {failure.message}" for failure in failures]
        return DataValidationError(
            "\n".join([*lines, advice] if advice else lines), failures=list(failures)
        )


def _quieten(library: logging.Logger) -> None:
    """It tells of hundreds of its own functions as it is imported; a level set by hand stays."""
    if library.level == logging.NOTSET:
        library.setLevel(logging.WARNING)


def _failures(table: str, result: ExpectationSuiteValidationResult) -> list[CheckFailure]:
    return [_failure(table, each) for each in result.results if not each.success]


def _failure(table: str, result: ExpectationValidationResult) -> CheckFailure:
    config = result.expectation_config
    column = config.kwargs.get("column")
    subject = f"{table}.{column}" if column else table
    count = int(result.result.get("unexpected_count", 1))
    examples = _examples(result.result, KEYS[table])
    message = f"{subject}: expected that {config.description}; not so in {count} row(s)"
    if examples:
        message += f": {', '.join(examples)}"
    elif error := _raised(result.exception_info):
        message += f": the check itself failed: {error}"
    return CheckFailure(
        message=message,
        check=f"{config.description} ({config.type})",
        column=subject,
        failure_count=count,
        failure_examples=examples,
    )


def _examples(result: Mapping[str, object], key: str) -> list[str]:
    rows = result.get("partial_unexpected_index_list")
    if not isinstance(rows, list):
        return []
    return [f"{key} {row[key]}" for row in rows[:_EXAMPLES]]


def _raised(info: Mapping[str, object]) -> str:
    """The first error that Great Expectations met; it nests them under the metric's name."""
    nested = [info, *(each for each in info.values() if isinstance(each, Mapping))]
    return next(
        (str(each["exception_message"]) for each in nested if each.get("exception_message")), ""
    )
