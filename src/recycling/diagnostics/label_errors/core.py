"""The table of candidates for errors of labels, and one ranking over kinds and tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NewType, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from recycling.annotations import BOX, BOX_COLUMNS, Annotations
from recycling.registry import Settings
from recycling.tables import Column, Schema, register_table

Kind: TypeAlias = Literal["wrong_class", "missed", "badly_placed", "spurious"]

KINDS: tuple[Kind, ...] = ("wrong_class", "missed", "badly_placed", "spurious")
"""Another category, an object without a label, a box or mask elsewhere, a label without an
object."""

NEW_BOX = [f"new_{edge}" for edge in BOX]
"""The columns of the box that the models see."""

LabelErrors = NewType("LabelErrors", pd.DataFrame)
"""One row a candidate, the likeliest error first; schema `LABEL_ERRORS`."""

LABEL_ERRORS = Schema(
    "label errors",
    (
        Column(
            "quality",
            "float64",
            "the chance that the label is right, were right and wrong equally likely before",
            minimum=0,
            maximum=1,
        ),
        Column("kind", "string", "what is likely to be wrong", values=KINDS),
        Column("image_id", "int64", "the image that it is on"),
        Column("file_name", "string", "path of the image below the image folder"),
        Column("annotation_id", "Int64", "the label; missing where there is none", nullable=True),
        Column("category", "string", "what is said; missing where nothing is", nullable=True),
        *BOX_COLUMNS,
        Column("new_category", "string", "what models see, if they see one", nullable=True),
        *(
            Column(f"new_{edge.name}", "Float64", f"{edge.description}, as models see it", True)
            for edge in BOX_COLUMNS
        ),
        Column("models", "string", "what the models of each task say"),
        Column(
            "image_quality",
            "float64",
            "of all labels of the image: the lowest qualities count most",
            minimum=0,
            maximum=1,
        ),
    ),
)
register_table("label_errors", LABEL_ERRORS, LabelErrors)

FLOOR = 0.001
"""How far from 0 and 1 qualities are taken to be, so that one task's 0 is no veto."""

TEMPERATURE = 0.1
"""Of the pooling over an image's labels, as in ObjectLab."""

_SIZES = (32.0**2, 96.0**2)

SAME_PLACE = 0.3
"""The intersection over union from which on two tasks miss the same object."""


class LabelErrorSettings(Settings):
    """How label errors are looked for.

    Attributes:
        proposed: How many corrections are proposed.
        shown: How many of them are drawn.
        min_area: Of a region that may lack a mask, square pixels.
    """

    proposed: int = Field(default=50, ge=1)
    shown: int = Field(default=30, ge=1)
    min_area: int = Field(default=30, ge=1)


def candidates(truth: Annotations, rows: Mapping[str, Any] | pd.DataFrame) -> LabelErrors:
    """A table of candidates, the likeliest error first.

    Args:
        truth: The images and their labels.
        rows: The columns `quality`, `kind`, `image_id`, `annotation_id`, the box, and what is known
            of `category`, `new_category`, the new box and `models`.

    Returns:
        Schema `LABEL_ERRORS`; equal qualities in the order of images and annotations.
    """
    table = pd.DataFrame(rows)
    if table.empty:
        return LabelErrors(LABEL_ERRORS.empty())
    file_names = truth.images.set_index("image_id")["file_name"]
    missing: dict[str, Any] = dict.fromkeys(["category", "new_category", *NEW_BOX])
    table = table.assign(
        **{name: value for name, value in missing.items() if name not in table},
        file_name=table["image_id"].map(file_names),
        annotation_id=table["annotation_id"].astype("Int64"),
        quality=table["quality"].astype("float64").clip(0, 1),
    )
    pooled = image_qualities(table)
    table["image_quality"] = table["image_id"].map(pooled).clip(0, 1)
    in_order = table.sort_values(
        ["quality", "image_id", "annotation_id", *BOX], kind="stable", na_position="last"
    )
    return LabelErrors(LABEL_ERRORS.conform(in_order, where="label errors"))


def softmin(qualities: NDArray[np.float64], temperature: float = TEMPERATURE) -> float:
    """A mean in which the lowest values count most.

    Source: ObjectLab (Tkachenko et al., 2023, arXiv 2309.00832), by which an image with one bad
    label is bad: the weights are softmax((1 - q) / T).

    Args:
        qualities: (n,), from 0 to 1; one at least.
        temperature: The lower, the closer to the minimum.

    >>> round(softmin(np.array([0.1, 0.9])), 4)
    0.1003
    """
    weights = np.exp((qualities.min() - qualities) / temperature)
    return float((weights * qualities).sum() / weights.sum())


def image_qualities(table: pd.DataFrame) -> pd.Series[float]:
    """The quality of each image's labels: the geometric mean over the kinds of error.

    Source: ObjectLab, as `softmin`: each kind's qualities are pooled, then the kinds.

    Args:
        table: Columns `image_id`, `kind` and `quality`; a kind without rows counts as 1.

    Returns:
        By image id.

    >>> rows = {"image_id": 7, "kind": ["wrong_class", "missed"], "quality": [1.0, 0.0625]}
    >>> image_qualities(pd.DataFrame(rows)).round(2).to_dict()
    {7: 0.5}
    """
    pooled = table.groupby(["image_id", "kind"], observed=True)["quality"].agg(
        lambda own: softmin(own.to_numpy(dtype=np.float64))
    )
    logs = pooled.clip(lower=FLOOR).map(np.log).groupby("image_id").sum()
    return (logs / len(KINDS)).map(np.exp)


def rank_label_errors(truth: Annotations, of_tasks: Mapping[str, LabelErrors]) -> LabelErrors:
    """One ranking of what the models of several tasks say of the same labels.

    For each label and kind of error, the log odds that the label is wrong are added over the n
    tasks that judge it, and divided by the root of n: what is hard for one is hard for all, so that
    they count for more than one and for less than n. A label has one row: its worst kind. Where
    several tasks miss an object at one place, it has one row too.

    Args:
        truth: The images and their labels.
        of_tasks: The candidates of each task, by its name.

    Returns:
        Schema `LABEL_ERRORS`.
    """
    tables = [table.assign(task=task) for task, table in of_tasks.items() if len(table)]
    if not tables:
        return LabelErrors(LABEL_ERRORS.empty())
    rows = pd.concat(tables, ignore_index=True)
    right = rows["quality"].clip(FLOOR, 1 - FLOOR)
    rows["log_odds"] = np.log((1 - right) / right)
    labelled = rows[rows["annotation_id"].notna()]
    merged = [_merged_labels(labelled), _merged_places(rows[rows["annotation_id"].isna()])]
    filled = [table for table in merged if len(table)]
    return candidates(truth, pd.concat(filled, ignore_index=True))


def _merged_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each label the worst kind, by all tasks; told by the one that is surest."""
    if rows.empty:
        return rows
    odds = rows.groupby(["annotation_id", "kind"], observed=True)["log_odds"]
    joint = odds.transform("sum") / odds.transform("size") ** 0.5
    rows = rows.assign(merged=joint.map(_quality))
    worst = rows.groupby("annotation_id")["merged"].transform("min")
    worst_kind = rows[rows["merged"] == worst]
    told = worst_kind.sort_values(["annotation_id", "kind", "quality"], kind="stable")
    # Of equal kinds the first by name: they stand together, so that all tasks of one are told.
    first_kind = told.groupby("annotation_id")["kind"].transform("first")
    told = told[told["kind"] == first_kind]
    said = told.groupby("annotation_id")["models"].agg("; ".join)
    first = told.drop_duplicates("annotation_id")
    return first.assign(quality=first["merged"], models=first["annotation_id"].map(said))


def _merged_places(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each place where an object is missed one row, the surest first."""
    merged = []
    for image_id in rows["image_id"].unique().tolist():
        on_image = rows[rows["image_id"] == image_id]
        left = on_image.sort_values("quality", kind="stable")
        while len(left):
            first = left.iloc[0]
            overlap = iou(left[BOX].to_numpy()[:1], left[BOX].to_numpy())[0]
            same = left[(overlap >= SAME_PLACE) | (np.arange(len(left)) == 0)]
            same = same.drop_duplicates("task")
            merged.append(
                {
                    **first.to_dict(),
                    "quality": _quality(float(same["log_odds"].sum()) / len(same) ** 0.5),
                    "models": "; ".join(same["models"]),
                }
            )
            left = left[(overlap < SAME_PLACE) & (np.arange(len(left)) > 0)]
    return pd.DataFrame(merged, columns=rows.columns)


def _quality(log_odds: float) -> float:
    """The chance of being right, of the odds of being wrong."""
    return float(1 / (1 + np.exp(log_odds)))


def usual(
    support: NDArray[np.float64],
    category: NDArray[np.intp],
    area: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float64]:
    """What models say for labels like each: the mean of its class or of its size, the lower one.

    What is small is seen less, whatever it is.

    Args:
        support: (n,), from 0 to 1.
        category: (n,), the class of each label.
        area: (n,), square pixels; sizes are COCO's small, medium and large.
        n_classes: How many classes there are.

    Returns:
        (n,).

    >>> support, area = np.array([1.0, 0.5, 0.0]), np.array([2000.0, 2000, 30])
    >>> usual(support, np.array([0, 0, 0]), area, 1).tolist()
    [0.5, 0.5, 0.0]
    """
    size = np.digitize(area, _SIZES)
    by_class = usual_by_class(support, category, n_classes)[category]
    return np.minimum(by_class, usual_by_class(support, size, len(_SIZES) + 1)[size])


def usual_by_class(
    support: NDArray[np.float64], category: NDArray[np.intp], n_classes: int
) -> NDArray[np.float64]:
    """The mean of what models say for the labels of each class, as in confident learning.

    Args:
        support: (n,), from 0 to 1.
        category: (n,), the class of each label.
        n_classes: How many there are.

    Returns:
        (n_classes,); that of all labels for a class without any.

    >>> usual_by_class(np.array([1.0, 0.5, 0.0]), np.array([0, 0, 1]), 3).tolist()
    [0.75, 0.0, 0.5]
    """
    count = np.bincount(category, minlength=n_classes)
    total = np.bincount(category, support, minlength=n_classes)
    mean = float(support.mean()) if len(support) else 0.0
    return np.where(count > 0, total / np.maximum(count, 1), mean)


def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The intersection over union of boxes (N, 4) with boxes (M, 4); (N, M).

    >>> iou(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 2, 1], [3, 3, 4, 4]])).tolist()
    [[0.5, 0.0]]
    """
    shared = intersections(a, b)
    union = areas(a)[:, None] + areas(b) - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float64).tiny))


def intersections(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shared area of boxes (N, 4) with boxes (M, 4), square pixels; (N, M)."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    high = np.minimum(a[:, None, 2:], b[:, 2:])
    return np.asarray(np.maximum(high - low, 0).prod(axis=2))


def areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The area of boxes (N, 4), square pixels; (N,)."""
    return np.asarray(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1))
