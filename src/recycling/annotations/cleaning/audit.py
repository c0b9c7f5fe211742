"""The audit of cleaning: one row for everything that a rule adds, changes or drops."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from itertools import compress
from typing import Any, Literal, NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import Annotations
from recycling.tables import Column, Schema, register_table

Subject = Literal["image", "annotation", "category"]

Audit = NewType("Audit", pd.DataFrame)
"""One row for each change of a cleaning; schema `AUDIT`."""

AUDIT = Schema(
    "audit",
    (
        Column("rule", "string", "the rule, as the configuration calls it"),
        Column("subject", "string", "what it acted on", values=("image", "annotation", "category")),
        Column("subject_id", "int64", "the subject's number"),
        Column(
            "position",
            "Int64",
            "the subject's row in the raw table, from 0; missing for what a rule added",
            nullable=True,
        ),
        Column("action", "string", "what it did", values=("add", "change", "drop")),
        Column("reason", "string", "why, in words"),
        Column(
            "before",
            "string",
            "JSON: the whole row of what was dropped, the old values of what was changed",
            nullable=True,
        ),
        Column(
            "after",
            "string",
            "JSON: the new values of what was changed, the whole row of what was added",
            nullable=True,
        ),
    ),
)
register_table("cleaning_audit", AUDIT, Audit)

NO_AUDIT = AUDIT.empty()
"""The audit of a rule that found nothing to do; not to be changed."""

_json = json.JSONEncoder(ensure_ascii=False).encode


def dropped(
    rule: str, subject: Subject, rows: pd.DataFrame, reasons: Sequence[str]
) -> pd.DataFrame:
    """Audit rows for table rows that a rule drops.

    Args:
        rule: The rule's name.
        subject: What the rows are.
        rows: The rows, with a column ``<subject>_id``.
        reasons: Why, one a row.

    Returns:
        The audit rows, by subject id; schema `AUDIT`.
    """
    return _audit(rule, subject, "drop", rows, reasons, before=_texts(rows), after=None)


def added(rule: str, subject: Subject, rows: pd.DataFrame, reasons: Sequence[str]) -> pd.DataFrame:
    """Audit rows for table rows that a rule adds; arguments as for `dropped`."""
    return _audit(rule, subject, "add", rows, reasons, before=None, after=_texts(rows))


def changed(
    rule: str,
    subject: Subject,
    before: pd.DataFrame,
    after: pd.DataFrame,
    reasons: Sequence[str],
) -> pd.DataFrame:
    """Audit rows for table rows that a rule changes.

    Args:
        rule: The rule's name.
        subject: What the rows are.
        before: The rows as they were, with a column ``<subject>_id``.
        after: The same rows, in the same order, as they are now.
        reasons: Why, one a row.

    Returns:
        The audit rows, by subject id, for the rows that differ; schema `AUDIT`.
    """
    differing = _differing(before, after)
    rows = np.flatnonzero(differing.any(axis=1))
    return _audit(
        rule,
        subject,
        "change",
        before.iloc[rows],
        [reasons[row] for row in rows],
        before=_texts(before.iloc[rows], differing[rows]),
        after=_texts(after.iloc[rows], differing[rows]),
    )


def combined(audits: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several audits as one, in the order given; schema `AUDIT`."""
    filled = [audit for audit in audits if len(audit)]
    return pd.concat(filled, ignore_index=True) if filled else AUDIT.empty()


def placed(audit: pd.DataFrame, raw: Annotations) -> pd.DataFrame:
    """An audit with the position that each subject had before any rule was applied.

    Args:
        audit: Schema `AUDIT`.
        raw: The tables before cleaning.

    Returns:
        The audit, `position` filled in.
    """
    position = np.full(len(audit), -1)
    for subject, table in tables(raw).items():
        of_subject = (audit["subject"] == subject).to_numpy(dtype=bool)
        ids = pd.Index(table[f"{subject}_id"])
        position[of_subject] = ids.get_indexer(audit["subject_id"].to_numpy()[of_subject])
    positions = pd.Series(position, audit.index, dtype="Int64")
    in_raw = audit.assign(position=positions.mask(position < 0))
    return AUDIT.conform(in_raw, where="audit")


def tables(annotations: Annotations) -> dict[Subject, pd.DataFrame]:
    """The three tables by what their rows are called in an audit."""
    return {
        "image": annotations.images,
        "annotation": annotations.annotations,
        "category": annotations.categories,
    }


def values_of(text: Any) -> dict[str, Any]:
    """What `before` or `after` of an audit holds; nothing where it is missing.

    >>> values_of('{"name": "Glass"}'), values_of(None)
    ({'name': 'Glass'}, {})
    """
    values: dict[str, Any] = json.loads(text) if isinstance(text, str) else {}
    return values


def category_names(raw: Annotations, audit: pd.DataFrame) -> dict[int, str]:
    """The names of categories by id, raw ones and those that rules added."""
    names = dict(zip(raw.categories["category_id"], raw.categories["name"], strict=True))
    added = audit[(audit["subject"] == "category") & (audit["action"] == "add")]
    for category_id, after in zip(added["subject_id"], added["after"], strict=True):
        names.setdefault(category_id, values_of(after)["name"])
    return names


def records(rows: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Rows as Python values, None where one is missing.

    >>> records(pd.DataFrame({"image_id": [1], "group": pd.array([None], dtype="string")}))
    [{'image_id': 1, 'group': None}]
    """
    columns = [plain(rows[name]) for name in rows.columns]
    return [dict(zip(rows.columns, values, strict=True)) for values in zip(*columns, strict=True)]


def plain(column: pd.Series) -> list[Any]:
    """A column as Python values, None where one is missing."""
    if column.dtype != "string":
        return column.tolist()
    import pyarrow as pa

    # Pandas makes a Python object of each text on its own, which takes most of an audit's time.
    values: list[str | None] = pa.array(column.array).to_pylist()
    return values


def _audit(
    rule: str,
    subject: Subject,
    action: str,
    rows: pd.DataFrame,
    reasons: Sequence[str],
    *,
    before: list[str] | None,
    after: list[str] | None,
) -> pd.DataFrame:
    if rows.empty:
        return NO_AUDIT
    table = pd.DataFrame(
        {
            "rule": rule,
            "subject": subject,
            "subject_id": rows[f"{subject}_id"].to_numpy(),
            "position": None,
            "action": action,
            "reason": list(reasons),
            "before": before,
            "after": after,
        }
    )
    in_order = table.sort_values("subject_id", kind="stable")
    return AUDIT.conform(in_order, where=f"audit of {rule}")


def _differing(before: pd.DataFrame, after: pd.DataFrame) -> NDArray[np.bool_]:
    """Which values differ, (rows, columns); a missing one is like another missing one."""
    differing = np.zeros(before.shape, dtype=np.bool_)
    for index, name in enumerate(before.columns):
        was, now = before[name].reset_index(drop=True), after[name].reset_index(drop=True)
        other = (was != now).fillna(False) | (was.isna() != now.isna())
        differing[:, index] = other.to_numpy(dtype=np.bool_)
    return differing


def _texts(rows: pd.DataFrame, where: NDArray[np.bool_] | None = None) -> list[str]:
    """Rows as JSON: all columns, or those where (rows, columns) is true."""
    found = records(rows)
    if where is not None:
        found = [
            dict(compress(record.items(), columns))
            for record, columns in zip(found, where.tolist(), strict=True)
        ]
    return [_json(record) for record in found]
