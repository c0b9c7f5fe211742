"""Cleaning by its audit, forwards and backwards: what the audit has to tell."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from recycling.annotations.cleaning.audit import Subject, plain, records, tables
from recycling.annotations.core import (
    ANNOTATIONS,
    CATEGORIES,
    IMAGES,
    AnnotationError,
    Annotations,
)

_Record: TypeAlias = dict[Hashable, Any]

_SCHEMAS = {"image": IMAGES, "annotation": ANNOTATIONS, "category": CATEGORIES}
_OPPOSITE = {"add": "drop", "change": "change", "drop": "add"}
_CLASS_INDEX = "index"  # an audit counts a category's class index among its values
_WRONG = "this is the audit of other annotations"


def replay(annotations: Annotations, audit: pd.DataFrame) -> Annotations:
    """Do to raw annotations what an audit says.

    Args:
        annotations: What `clean` was given; not changed.
        audit: What `clean` gave beside the clean annotations.

    Returns:
        The clean annotations, to the last value, in their order.

    Raises:
        AnnotationError: The audit is of other annotations; the message names its row.
    """
    _check_positions(annotations, audit)
    return _followed(annotations, audit)


def undo(annotations: Annotations, audit: pd.DataFrame) -> Annotations:
    """Take back what an audit says was done to raw annotations.

    Args:
        annotations: What `clean` gave; not changed.
        audit: What it gave beside them.

    Returns:
        The raw annotations, to the last value, in their order.

    Raises:
        AnnotationError: The audit is of other annotations; the message names its row.
    """
    backwards = audit.assign(
        action=audit["action"].map(_OPPOSITE), before=audit["after"], after=audit["before"]
    )
    raw = _followed(annotations, backwards.iloc[::-1])
    _check_positions(raw, audit)
    return raw


def _check_positions(raw: Annotations, audit: pd.DataFrame) -> None:
    """Every subject has to be in the row of the raw table that the audit says."""
    for subject, table in tables(raw).items():
        rows = audit[(audit["subject"] == subject) & audit["position"].notna()]
        position = rows["position"].to_numpy(dtype=np.int64)
        ids = table[f"{subject}_id"].to_numpy()
        there = (position >= 0) & (position < len(ids))
        there[there] = ids[position[there]] == rows["subject_id"].to_numpy()[there]
        if not there.all():
            row = rows.iloc[int(there.argmin())]
            raise AnnotationError(
                f"audit row {row.name}: {subject} {row['subject_id']} is not in row "
                f"{row['position']} of the raw table; {_WRONG}"
            )


def _followed(annotations: Annotations, audit: pd.DataFrame) -> Annotations:
    """The tables after each row of an audit, from its first to its last."""
    after = {
        subject: _table_after(subject, table, audit[audit["subject"] == subject])
        for subject, table in tables(annotations).items()
    }
    return Annotations(
        images=after["image"],
        annotations=after["annotation"],
        categories=after["category"],
        extra=annotations.extra,
    )


def _table_after(subject: Subject, table: pd.DataFrame, audit: pd.DataFrame) -> pd.DataFrame:
    schema = _SCHEMAS[subject]
    after = table.reset_index(drop=True)
    if subject == "category":
        after[_CLASS_INDEX] = range(len(after))
    if len(audit):
        ids = after[f"{subject}_id"]
        touched = after[ids.isin(audit["subject_id"])]
        row_of = dict(zip(ids[touched.index].tolist(), touched.index.tolist(), strict=True))
        rows = dict(zip(row_of, records(touched), strict=True))
        positions = _follow(subject, rows, audit)
        old = [row_id for row_id in rows if row_id in row_of]
        new = [row_id for row_id in rows if row_id not in row_of]
        changed = _like(after, [rows[i] for i in old], [row_of[i] for i in old])
        left = pd.concat([after.drop(index=touched.index), changed]).sort_index()
        # What a rule added to the raw tables was in no row of theirs: it is at the end.
        new_rows = [
            positions[i] if positions[i] >= 0 else len(left) + place for place, i in enumerate(new)
        ]
        gaps = np.setdiff1d(np.arange(len(left) + len(new)), new_rows)[: len(left)]
        added = _like(after, [rows[i] for i in new], new_rows)
        after = pd.concat([left.set_axis(gaps), added])
        if subject == "category":
            after = after.set_index(_CLASS_INDEX)
        after = after.sort_index()
        if after.index.tolist() != list(range(len(after))):
            raise AnnotationError(f"audit: {schema.name} do not make a whole table; {_WRONG}")
    return schema.conform(after, where=f"{schema.name} of the audit")


def _follow(subject: Subject, rows: dict[int, _Record], audit: pd.DataFrame) -> dict[int, int]:
    """Do to the rows of a table, by id, what the audit says; where those that it adds belong."""
    positions = {}
    for row, subject_id, position, action, before, after in zip(
        audit.index.tolist(),
        audit["subject_id"].tolist(),
        audit["position"].fillna(-1).tolist(),
        plain(audit["action"]),
        _parsed(audit["before"]),
        _parsed(audit["after"]),
        strict=True,
    ):
        where = f"audit row {row}: {subject} {subject_id}"
        if action == "add":
            if subject_id in rows:
                raise AnnotationError(f"{where} is there already; {_WRONG}")
            rows[subject_id] = after
            positions[subject_id] = position
            continue
        if subject_id not in rows:
            raise AnnotationError(f"{where} is not there; {_WRONG}")
        now = rows[subject_id]
        for column, value in before.items():
            if column not in now or now[column] != value:
                raise AnnotationError(
                    f"{where} has {column} {now.get(column)!r}, not {value!r}; {_WRONG}"
                )
        if action == "drop":
            del rows[subject_id]
        else:
            rows[subject_id] = now | after
    return positions


def _parsed(texts: pd.Series) -> Iterator[_Record]:
    return ({} if text is None else json.loads(text) for text in plain(texts))


def _like(table: pd.DataFrame, rows: list[_Record], index: list[int]) -> pd.DataFrame:
    """Records as rows of a table: its columns, its types."""
    if not rows:
        return table.iloc[:0]
    frame = pd.DataFrame(rows, index=index, columns=table.columns)
    return frame.astype(table.dtypes.to_dict())
