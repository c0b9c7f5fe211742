"""The first page of the Data Docs: what is wrong, with the rows, on top.

Great Expectations' own index is a script that loads from the network, and its pages show failed
values without the rows that they are in. This page needs neither network nor script, and leads to
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import pandas as pd

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES
from recycling.validation.baseline import CATEGORY_SHARES
from recycling.validation.findings import Finding

# What helps to find a row and to see what is wrong with it.
_CONTEXT = {
    IMAGES.name: ["image_id", "file_name", "width", "height", "group"],
    CATEGORIES.name: ["category_id", "name", "supercategory"],
    ANNOTATIONS.name: [
        *("annotation_id", "image_id", "image_name", "category_id", "category_name"),
        *("x_min", "y_min", "x_max", "y_max", "area"),
    ],
    CATEGORY_SHARES.name: CATEGORY_SHARES.names,
}

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
  color: #1b1f24; background: #fff }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; font-size: .85rem; margin: .5rem 0 1.5rem }
th, td { border-bottom: 1px solid #d5d9de; padding: .2rem .7rem; text-align: left }
thead th { background: #f2f4f6 }
.rows { overflow-x: auto } .rows td.at { background: #fff3bf; font-weight: 600 }
.stop, .warn, .met { border-radius: .3rem; color: #fff; font-size: .8rem; padding: .1rem .5rem;
  white-space: nowrap }
.stop { background: #b3261e } .warn { background: #8a5a00 } .met { background: #1e7a3c }
"""

_BADGES = {
    "stop": '<span class="stop">stop</span>',
    "warn": '<span class="warn">warning</span>',
    "met": '<span class="met">as expected</span>',
}


def front_page(name: str, found: Sequence[Finding], pages: Mapping[str, str]) -> str:
    """A page of HTML: what failed, with the rows, then everything that was checked.

    Args:
        name: What was checked.
        found: What was found.
        pages: The page of Great Expectations for each table, by the table's name.

    Returns:
        The page, whole, with nothing to load.
    """
    failed = sorted((f for f in found if not f.met), key=lambda f: f.expected.severity)
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    sizes = {f.expected.table: f.total for f in found}
    links = ", ".join(f'<a href="{escape(pages[t])}">{escape(t)}</a>' for t in sizes)
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(name)}: Data Docs</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(name)}</h1>",
            f"<p>{when}: {', '.join(f'{size:,} rows of {table}' for table, size in sizes.items())}."
            f" {_outcome(found)}</p>",
            *(_failure(f) for f in failed),
            "<h2>Everything that was checked</h2>",
            _overview(found),
            f"<p>Great Expectations' pages, which take their layout from the network: {links}.</p>",
            "</body></html>",
        ]
    )


def _outcome(found: Sequence[Finding]) -> str:
    badges = [_badge(f) for f in found]
    order = [_BADGES[outcome] for outcome in ("stop", "warn", "met")]
    return ", ".join(f"{badges.count(each)} {each}" for each in order if each in badges)


def _badge(finding: Finding) -> str:
    return _BADGES["met" if finding.met else finding.expected.severity]


def _failure(finding: Finding) -> str:
    expected = finding.expected
    lines = [
        f"<h2>{escape(expected.name)} {_badge(finding)}</h2>",
        f"<p>Expected that {escape(expected.description)}; {escape(finding.fault)}"
        f"{f' of {finding.total:,}' if finding.count is not None else ''}.</p>",
    ]
    if not finding.rows.empty:
        subject = expected.options["column"]
        columns = list(dict.fromkeys([*_CONTEXT[expected.table], subject]))
        lines.append(_rows(finding.rows[columns], subject))
        if finding.count is not None and finding.count > len(finding.rows):
            lines.append(f"<p>The first {len(finding.rows)} of {finding.count:,} rows.</p>")
    return "\n".join(lines)


def _rows(rows: pd.DataFrame, subject: str) -> str:
    """A table of HTML, with the column that is wrong marked."""
    head = "".join(f"<th>{escape(column)}</th>" for column in rows.columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=at' if column == subject else ''}>{escape(_shown(value))}</td>"
            for column, value in zip(rows.columns, row, strict=True)
        )
        + "</tr>"
        for row in rows.itertuples(index=False)
    )
    return (
        f'<div class="rows"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _shown(value: Any) -> str:
    if pd.api.types.is_float(value):
        return f"{value:.10g}" if pd.notna(value) else "missing"
    return str(value) if pd.notna(value) else "missing"


def _overview(found: Sequence[Finding]) -> str:
    rows = "".join(
        f"<tr><td>{_badge(f)}</td><td>{escape(f.expected.name)}</td>"
        f"<td>{escape(f.expected.description)}</td><td>{escape('' if f.met else f.fault)}</td></tr>"
        for f in found
    )
    return (
        "<table><thead><tr><th></th><th>name</th><th>expected that</th><th>found</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
