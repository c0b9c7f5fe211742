"""How evenly categories and other columns are spread over folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NewType

import numpy as np
import pandas as pd

from recycling.annotations import Annotations, StoredAnnotations
from recycling.splitting.axes import DEFAULT_AXES, category_counts, columns_of
from recycling.splitting.contents import contents_of
from recycling.splitting.core import Folds, fold_of_image
from recycling.tables import Column, Schema, register_table

Balance = NewType("Balance", pd.DataFrame)
"""One row a fold and category; schema `BALANCE`."""

Deviations = NewType("Deviations", pd.DataFrame)
"""One row an axis; schema `MAX_DEVIATION`."""

BALANCE = Schema(
    "balance",
    (
        Column("fold", "int64", "the fold", minimum=0),
        Column("category", "string", "the category's name"),
        Column("train", "float64", "its share of the train part's annotations, per cent"),
        Column("validation", "float64", "its share of the validation part's, per cent"),
        Column("deviation", "float64", "validation less whole set, percentage points"),
    ),
)
register_table("fold_balance", BALANCE, Balance)

MAX_DEVIATION = Schema(
    "largest deviation",
    (
        Column("axis", "string", "what is balanced"),
        Column(
            "deviation",
            "float64",
            "largest of any fold from the whole, percentage points",
            minimum=0,
        ),
    ),
)
register_table("fold_deviation", MAX_DEVIATION, Deviations)


def balance_table(annotations: Annotations | StoredAnnotations, folds: Folds) -> pd.DataFrame:
    """The share of each category in train and validation of every fold.

    Args:
        annotations: The images and what is on them.
        folds: The fold of every image.

    Returns:
        One row a fold and category; schema `BALANCE`. A part without annotations has shares of 0.

    Raises:
        SplitError: An image is in no fold.

    >>> annotations = Annotations(
    ...     images=pd.DataFrame({"image_id": [1, 2]}),
    ...     annotations=pd.DataFrame(
    ...         {"image_id": [1, 1, 2], "category_id": [7, 7, 8], "iscrowd": False}
    ...     ),
    ...     categories=pd.DataFrame({"category_id": [7, 8], "name": ["Metal", "Glass"]}),
    ... )
    >>> folds = Folds(pd.DataFrame({"image_id": [1, 2], "fold": [0, 1]}))
    >>> balance_table(annotations, folds)[["fold", "category", "train", "validation"]]
       fold category  train  validation
    0     0    Metal    0.0       100.0
    1     0    Glass  100.0         0.0
    2     1    Metal  100.0         0.0
    3     1    Glass    0.0       100.0
    """
    contents = contents_of(annotations)
    fold = fold_of_image(contents.images, folds)
    counts = category_counts(contents)
    whole = _percent(counts.sum())
    parts = [
        pd.DataFrame(
            {
                "fold": k,
                "category": whole.index,
                "train": _percent(counts[fold != k].sum()),
                "validation": _percent(counts[fold == k].sum()),
            }
        ).assign(deviation=lambda table: table["validation"] - whole)
        for k in sorted(fold.unique())
    ]
    return BALANCE.conform(pd.concat(parts), where="balance table")


def max_deviation(
    annotations: Annotations | StoredAnnotations,
    folds: Folds,
    axes: Sequence[str] = DEFAULT_AXES,
) -> pd.DataFrame:
    """The largest deviation of any fold from the whole set, by axis.

    Category counts are shares of a fold's annotations, the other axes shares of its images.

    Args:
        annotations: The images and what is on them.
        folds: The fold of every image.
        axes: Names of axes, as `balance_columns` takes them.

    Returns:
        One row an axis; schema `MAX_DEVIATION`.

    Raises:
        SplitError: An image is in no fold, or there is no such axis.
    """
    contents = contents_of(annotations)
    fold = fold_of_image(contents.images, folds).to_numpy()
    columns = columns_of(contents, axes)
    images = np.bincount(fold)
    rows = []
    for axis in axes:
        of_image = columns[axis].to_numpy()
        sums = np.array([of_image[fold == k].sum(axis=0) for k in np.unique(fold)])
        sizes = sums.sum(axis=1) if axis == "category_counts" else images[images > 0]
        shares = sums / np.maximum(sizes, 1)[:, None]
        whole = sums.sum(axis=0) / max(sizes.sum(), 1)
        rows.append((axis, 100 * float(np.abs(shares - whole).max())))
    table = pd.DataFrame(rows, columns=MAX_DEVIATION.names)
    return MAX_DEVIATION.conform(table, where="largest deviation")


def _percent(counts: pd.Series[int]) -> pd.Series[float]:
    return counts * (100 / max(counts.sum(), 1))
