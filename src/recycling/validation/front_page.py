"""The first page of the Data Docs: what is wrong, with the rows, on top.

Great Expectations' own index is a script that loads from the network, and its pages show failed
values without the rows that they are in. This page needs neither network nor script, and leads to
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

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


def front_page(name: str, found: Sequence[Finding], pages: Mapping[str, str]) -> str:
    """A page of HTML: what failed, with the rows, then everything that was checked.

    Args:
        name: What was checked.
        found: What was found.
        pages: The page of Great Expectations for each table, by the table's name.

    Returns:
        The page, whole, with nothing to load.
    """
    templates = Environment(
        loader=PackageLoader("recycling.validation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["shown"] = _shown
    return templates.get_template("front_page.html").render(
        name=name,
        now=datetime.now(UTC),
        found=found,
        n_rows={finding.expected.table: finding.total for finding in found},
        outcomes=Counter(finding.outcome for finding in found),
        pages=pages,
        context=_CONTEXT,
    )


def _shown(value: Any) -> str:
    """A value of a table, as it is written on the page."""
    if pd.isna(value):
        return "missing"
    return f"{value:.10g}" if pd.api.types.is_float(value) else str(value)
