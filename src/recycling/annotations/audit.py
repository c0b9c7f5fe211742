"""The audit of cleaning: one row for everything that a rule adds, changes or drops."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from typing import Any, Literal, NewType

import pandas as pd

from recycling.tables import Column, Schema

Subject = Literal["image", "annotation", "category"]

Audit = NewType("Audit", pd.DataFrame)
"""One row for each change of a cleaning; schema `AUDIT`."""

AUDIT = Schema(
    "audit",
    (
        Column("rule", "string", "the rule, as the configuration calls it"),
        Column("subject", "string", "what it acted on", values=("image", "annotation", "category")),
        Column("subject_id", "int64", "the subject's number"),
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
    old, new = _records(before), _records(after)
    befores, afters, rows = [], [], []
    for row, (was, now) in enumerate(zip(old, new, strict=True)):
        differing = [column for column in now if was[column] != now[column]]
        if differing:
            rows.append(row)
            befores.append(_json({column: was[column] for column in differing}))
            afters.append(_json({column: now[column] for column in differing}))
    return _audit(
        rule,
        subject,
        "change",
        before.iloc[rows],
        [reasons[row] for row in rows],
        before=befores,
        after=afters,
    )


def combined(audits: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several audits as one, in the order given; schema `AUDIT`."""
    filled = [audit for audit in audits if len(audit)]
    return pd.concat(filled, ignore_index=True) if filled else AUDIT.empty()


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
        return AUDIT.empty()
    nothing = [None] * len(rows)
    table = pd.DataFrame(
        {
            "rule": rule,
            "subject": subject,
            "subject_id": rows[f"{subject}_id"].to_numpy(),
            "action": action,
            "reason": pd.array(list(reasons), dtype="string"),
            "before": pd.array(nothing if before is None else before, dtype="string"),
            "after": pd.array(nothing if after is None else after, dtype="string"),
        }
    )
    return AUDIT.conform(table.sort_values("subject_id", kind="stable"), where=f"audit of {rule}")


def _texts(rows: pd.DataFrame) -> list[str]:
    return [_json(record) for record in _records(rows)]


def _records(rows: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Rows as Python values, None where one is missing."""
    columns = [
        [
            None if gone else value
            for gone, value in zip(rows[name].isna().tolist(), rows[name].tolist(), strict=True)
        ]
        for name in rows.columns
    ]
    return [dict(zip(rows.columns, values, strict=True)) for values in zip(*columns, strict=True)]


def _json(record: dict[Hashable, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)
