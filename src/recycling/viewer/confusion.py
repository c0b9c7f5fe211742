"""A confusion matrix as a table, whose cells lead to their images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from markupsafe import Markup

from recycling.reporting.confusions import OUTSIDE
from recycling.viewer.markup import render


def confusion_table(
    counts: pd.DataFrame,
    link: Callable[[str, str], str],
    *,
    first: str,
    second: str,
    chosen: tuple[str | None, str | None] = (None, None),
) -> Markup:
    """The HTML of a confusion matrix.

    Args:
        counts: Schema `recycling.diagnostics.DISAGREEMENT`.
        link: Gives the address of a cell, by what the first and the second say.
        first: What the rows are.
        second: What the columns are.
        chosen: The cell that is looked at.
    """
    seen = [*counts["first"], *counts["second"]]
    names = sorted(dict.fromkeys(seen), key=lambda name: (name in OUTSIDE, name))
    by_pair = {(row["first"], row["second"]): row for row in counts.to_dict("records")}
    rows: list[dict[str, Any]] = []
    for name in names:
        cells = []
        for other in names:
            own = by_pair.get((name, other))
            cells.append(
                {
                    "count": 0 if own is None else int(own["count"]),
                    "share": 0.0 if own is None else float(own["share"]),
                    "link": link(name, other),
                    "right": name == other,
                    "chosen": (name, other) == chosen,
                    "title": f"{first}: {name}, {second}: {other}",
                }
            )
        rows.append({"name": name, "cells": cells})
    return render("confusion.html", names=names, rows=rows, first=first, second=second)
