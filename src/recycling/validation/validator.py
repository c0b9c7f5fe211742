"""A validator for the annotations of Kedro's catalog."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kedro.io import DataCatalog
from kedro.utils import find_kedro_project
from kedro.validation import CheckFailure, DataValidationError, resolve_validator

from recycling.addresses import is_address
from recycling.annotations import Annotations
from recycling.mirrors import mirror
from recycling.stored_tables import whole
from recycling.validation.baseline import (
    CATEGORY_SHARES,
    BaselineError,
    category_shares,
    read_baseline,
    write_baseline,
)
from recycling.validation.content import content_digest
from recycling.validation.data_docs import check_tables
from recycling.validation.expectations import (
    SCHEMAS,
    Expected,
    Severity,
    expected_of_annotations,
    expected_of_shares,
    tables_to_check,
)
from recycling.validation.findings import Finding

logger = logging.getLogger(__name__)

DRIFT = 2.0
"""Percentage points that a category's share may be from the baseline, unless told otherwise.

Of the competition's 4,883 images, 2,000 taken at random are within it in 97 of 100 draws: less
is chance, more is a change of what is collected or of how it is labelled.
"""

_EXAMPLES = 5

# Great Expectations keeps its project in a global; Kedro may validate from several threads.
_GREAT_EXPECTATIONS = threading.Lock()


class AnnotationsValidator:
    """Checks annotations with Great Expectations, and writes its Data Docs.

    To be named in a catalog entry::

        validator:
          class: recycling.validation.AnnotationsValidator
          "on": [save]
          options:
            name: train.annotations
            data_docs: data/08_reporting/data_docs
            baseline: conf/base/baselines/train.annotations.yml
            warn: [annotations.area_excess]
            stop: [category_shares]

    Every expectation has a name, which messages show: `annotations.score.range`. Each stops the run
    if it fails, but for `category_shares.drift`, which warns; `warn` and `stop` change that, by the
    name of an expectation, of a column (`annotations.score`) or of a table (`annotations`), of
    which the most exact counts. Warnings are logged. With `severity: warn` in the catalog entry
    itself, Kedro lets nothing stop.

    Annotations that have been checked are known again: a run that loads them for several nodes
    checks them, and says what is wrong with them, once.

    Paths are relative to the project's folder, or to the current one outside of a project.

    Args:
        name: What the annotations are called, as in the catalog; their Data Docs go to a folder of
            this name.
        data_docs: Folder of the Data Docs; None writes none.
        categories: The only names that categories may have; None for any.
        baseline: File of category shares that those of the annotations are compared with, made with
            `kedro baseline`; None compares with none.
        drift: Percentage points that a category's share may be from the baseline.
        warn: What is a warning if it fails.
        stop: What stops the run if it fails.

    Raises:
        ValueError: An option is not what it should be; one line, with the names that are known.
    """

    def __init__(
        self,
        name: str,
        data_docs: str | None = None,
        categories: Sequence[str] | None = None,
        baseline: str | None = None,
        drift: float = DRIFT,
        warn: Sequence[str] = (),
        stop: Sequence[str] = (),
    ) -> None:
        if not name or Path(name).name != name:
            raise ValueError(f"name should be a plain name, as of a file, and is {name!r}")
        if not drift >= 0:
            raise ValueError(f"drift should be percentage points, 0 or more, and is {drift!r}")
        self.name = name
        self._data_docs = data_docs
        self._baseline = baseline
        shares = expected_of_shares(drift) if baseline is not None else []
        self.expected = _with_severities(
            [*expected_of_annotations(categories), *shares], warn, stop
        )
        self._checked: bytes | None = None
        self._found: list[Finding] = []

    @property
    def data_docs(self) -> Path | None:
        """The folder of these annotations' Data Docs."""
        return _in_project(self._data_docs) / self.name if self._data_docs is not None else None

    @property
    def baseline(self) -> Path | None:
        """The file of the baseline."""
        return _in_project(self._baseline) if self._baseline is not None else None

    def validate(self, data: Annotations) -> Annotations:
        """Check annotations.

        Args:
            data: The annotations.

        Returns:
            The same annotations, untouched.

        Raises:
            DataValidationError: Something is not as expected; one line for each expectation that
                failed, with the number of rows and the ids of the first five.
            BaselineError: The file of the baseline is damaged.
        """
        given, data = data, whole(data)
        self._check_form(data)
        with _GREAT_EXPECTATIONS:
            shares = self._read_baseline()
            content = content_digest(data, shares)
            if content != self._checked:
                self._found = self._check(data, shares)
                self._checked = content
                self._log()
            failures = self._failures("stop")
        if failures:
            raise self._error(failures, self._advice())
        return given

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

    def _read_baseline(self) -> dict[str, float] | None:
        if self.baseline is None or not self.baseline.exists():
            return None
        return read_baseline(self.baseline)

    def _check(self, data: Annotations, shares: Mapping[str, float] | None) -> list[Finding]:
        _silence(logging.getLogger("great_expectations"))
        tables = tables_to_check(data)
        if shares is not None:
            tables[CATEGORY_SHARES.name] = category_shares(data, shares)
        expected = [each for each in self.expected if each.table in tables]
        return check_tables(self.name, tables, expected, self.data_docs)

    def _log(self) -> None:
        if self.baseline is not None and not self.baseline.exists():
            logger.warning(
                "%s: there is no baseline %s, so category shares are not compared; make it (with "
                "the --env of this run) by: kedro baseline %s",
                self.name,
                self.baseline,
                self.name,
            )
        if self.data_docs is not None:
            logger.info("Data Docs of %s: %s", self.name, self.data_docs / "index.html")
        if warnings := self._failures("warn"):
            logger.warning(self._message(warnings, self._advice()))

    def _failures(self, severity: Severity) -> list[CheckFailure]:
        return [
            _failure(found)
            for found in self._found
            if not found.met and found.expected.severity == severity
        ]

    def _advice(self) -> str:
        return f"see {self.data_docs / 'index.html'}" if self.data_docs is not None else ""

    def _message(self, failures: Sequence[CheckFailure], advice: str) -> str:
        lines = [f"{self.name}: {failure.message}" for failure in failures]
        return "\n".join([*lines, advice] if advice else lines)

    def _error(self, failures: Sequence[CheckFailure], advice: str) -> DataValidationError:
        return DataValidationError(self._message(failures, advice), failures=list(failures))


def store_baseline(catalog: DataCatalog, dataset: str) -> Path:
    """Store the category shares of annotations as the baseline that their validator names.

    Args:
        catalog: The catalog; what is in the dataset is loaded from it, and is not validated.
        dataset: A dataset of annotations.

    Returns:
        The file that was written.

    Raises:
        BaselineError: The dataset's validator names no baseline, or there are no annotations.
    """
    stored = catalog.get(dataset)
    spec = catalog.validator_specs.get(dataset)
    if stored is None:
        raise BaselineError(f"{dataset}: not in the catalog; name a dataset of annotations")
    validator = resolve_validator(spec) if spec is not None else None
    if not isinstance(validator, AnnotationsValidator) or validator.baseline is None:
        raise BaselineError(
            f"{dataset}: its catalog entry has no validator with a baseline; add to the options of "
            "its recycling.validation.AnnotationsValidator: baseline: PATH"
        )
    write_baseline(stored.load(), validator.baseline)
    return validator.baseline


def _with_severities(
    expected: Sequence[Expected], warn: Sequence[str], stop: Sequence[str]
) -> list[Expected]:
    """Give each expectation the severity of the most exact name that means it."""
    severities: dict[str, Severity] = dict.fromkeys(_names(stop), "stop")
    for name in _names(warn):
        if name in severities:
            raise ValueError(f"{name} is both in warn and in stop; leave it in one of them")
        severities[name] = "warn"
    for name in severities:
        if not any(each.is_called(name) for each in expected):
            raise ValueError(f"no expectation is called {name!r}; {_known(expected, name)}")
    return [
        replace(each, severity=severities[max(meant, key=len)])
        if (meant := [name for name in severities if each.is_called(name)])
        else each
        for each in expected
    ]


def _names(option: Sequence[str]) -> Sequence[str]:
    return [option] if isinstance(option, str) else option


def _known(expected: Sequence[Expected], name: str) -> str:
    """The names that are nearest: those of the table if it is one, or else the tables."""
    of_table = [each.name for each in expected if each.is_called(name.split(".")[0])]
    known = of_table or dict.fromkeys(each.table for each in expected)
    return f"known: {', '.join(known)}"


def _in_project(path: str) -> Path:
    """A path of the configuration, from the current folder."""
    if is_address(path):
        return mirror(path)
    project = find_kedro_project(Path.cwd())
    if project is None or Path(path).is_absolute():
        return Path(path)
    return Path(os.path.relpath(project / path))


def _silence(library: logging.Logger) -> None:
    """It logs hundreds of its own functions on import; a level set by hand stays."""
    if library.level == logging.NOTSET:
        library.setLevel(logging.WARNING)


def _failure(finding: Finding) -> CheckFailure:
    expected = finding.expected
    examples = finding.examples[:_EXAMPLES]
    message = f"{expected.name}: expected that {expected.description}; {finding.fault}"
    return CheckFailure(
        message=f"{message}: {', '.join(examples)}" if examples else message,
        check=expected.description,
        column=expected.name,
        failure_count=finding.count or 1,
        failure_examples=list(examples),
    )
