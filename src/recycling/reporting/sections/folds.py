"""The page on the folds: how even they are, and how far test images are from train images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recycling.annotations import Annotations, StoredAnnotations
from recycling.reporting.figures import balance_figure
from recycling.reporting.pages import render_figure, render_list, render_page, render_table
from recycling.reporting.shift import shift_figure
from recycling.splitting.contents import contents_of

if TYPE_CHECKING:
    from recycling.splitting import Shift


def folds_page(
    annotations: Annotations | StoredAnnotations,
    folds: pd.DataFrame,
    balance: pd.DataFrame,
    deviations: pd.DataFrame,
    shift: Shift | None = None,
) -> str:
    """The page on the folds.

    Args:
        annotations: What was split.
        folds: The fold of each image; schema `recycling.splitting.FOLDS`.
        balance: Shares of each class; schema `recycling.splitting.BALANCE`.
        deviations: The largest of each axis; schema `recycling.splitting.MAX_DEVIATION`.
        shift: How the test images differ, where there are some.

    Returns:
        A page of HTML in UTF-8 that loads nothing.
    """
    counts = _counts(annotations, folds)
    worst = deviations.sort_values("deviation", ascending=False).head(1).to_dict("records")
    lines = [f"{len(counts)} folds; images of a group are in one fold"]
    lines += [
        f"no fold is further from the whole than {row['deviation']:.2f} percentage points, which "
        f"it is in {str(row['axis']).replace('_', ' ')}"
        for row in worst
    ]
    panels = [
        ("", [render_list(lines), render_table(counts, dict.fromkeys(counts.columns[1:], ","))]),
        ("Balance", [render_figure(balance_figure(balance, deviations), "balance of the folds")]),
    ]
    if shift is not None:
        sentences = [shift.summary["verdict"], shift.summary["shared"]]
        figure = render_figure(shift_figure(shift), "train and test images told apart")
        panels.append(("Test images beside train images", [
            render_list(sentence.rstrip(".") for sentence in sentences if sentence), figure,
        ]))  # fmt: skip
    return render_page("Folds", panels)


def _counts(annotations: Annotations | StoredAnnotations, folds: pd.DataFrame) -> pd.DataFrame:
    """Images, groups and objects of each fold."""
    contents = contents_of(annotations)
    images = contents.images.assign(objects=contents.counts.sum(axis=1))
    groups = images.merge(folds[["image_id", "fold"]], on="image_id").groupby("fold")
    table = pd.DataFrame(
        {"images": groups.size(), "groups": groups["group"].nunique(),
         "objects": groups["objects"].sum()}
    )  # fmt: skip
    return table.reset_index()
