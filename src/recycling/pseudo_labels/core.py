"""What pseudo-labels have in common: settings, thresholds, the audit, what they become."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal, NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from recycling.annotations import ANNOTATIONS, BOX, Annotations
from recycling.pseudo_labels.promise import (
    GRID,
    Graded,
    Promise,
    has_enough,
    promised_thresholds,
)
from recycling.registry import Settings
from recycling.tables import Column, Schema, register_table

Thresholds = NewType("Thresholds", pd.DataFrame)
"""One row a category: from which score on its predictions are kept; schema `THRESHOLDS`."""

PseudoAudit = NewType("PseudoAudit", pd.DataFrame)
"""One row a category: what became of the teacher's predictions; schema `PSEUDO_AUDIT`."""

THRESHOLDS = Schema(
    "pseudo-label thresholds",
    (
        Column("category_id", "int64", "the category; -1 for the background of masks"),
        Column("category", "string", "the category's name"),
        Column("supercategory", "string", "the category's family"),
        Column(
            "threshold", "Float64", "least score of what is kept; missing: nothing", nullable=True
        ),
        Column("precision", "Float64", "promised share of right; missing: none", nullable=True),
        Column("confidence", "Float64", "chance that it is kept; missing: none", nullable=True),
        Column(
            "units", "int64", "held-out images, or groups, on which something is kept", minimum=0
        ),
        Column("kept", "float64", "kept on them", minimum=0),
        Column("wrong", "float64", "of these, the wrong ones", minimum=0),
        Column("reason", "string", "why this threshold, or none"),
    ),
)
register_table("pseudo_label_thresholds", THRESHOLDS, Thresholds)

PSEUDO_AUDIT = Schema(
    "pseudo-label audit",
    (
        Column("category", "string", "the category's name"),
        Column("predicted", "int64", "predictions of the teacher", minimum=0),
        Column("kept", "int64", "those that became annotations", minimum=0),
        Column("ignored", "int64", "those that became regions to ignore", minimum=0),
        Column("refused", "int64", "those that became nothing", minimum=0),
        Column("mean_score", "float64", "mean score of those kept; 0 where none", minimum=0),
    ),
)
register_table("pseudo_label_audit", PSEUDO_AUDIT, PseudoAudit)

Examples = NewType("Examples", pd.DataFrame)
"""Some predictions and what became of them; schema `EXAMPLES`."""

EXAMPLES = Schema(
    "pseudo-label examples",
    (
        Column("kind", "string", "surest, least sure (of those kept) or refused"),
        Column("image_id", "int64", "the image"),
        Column("category_id", "int64", "the category"),
        Column("score", "float64", "how sure the teachers are"),
        *(Column(side, "float64", "pixels") for side in BOX),
    ),
)
register_table("pseudo_label_examples", EXAMPLES, Examples)

BACKGROUND = "background"
"""What pixels of no category are called."""


class PseudoLabeling(Settings):
    """How unlabelled images are labelled in one round.

    What is right: a box that finds an object of its category at an intersection over union of
    `iou`, each object once; a crop of the class that was annotated; a pixel of the category that
    was painted. Of boxes and crops the share of right is that of all kept, `cap` an image and
    category at most; of masks it is the mean over images. Images of one group count as one image
    together: what is kept on them is averaged first.
    """

    teacher: str = Field("teacher", description="the ensemble or the model that labels them")
    images: tuple[Literal["pool", "test"], ...] = Field(
        ("pool",), min_length=1, description="which images: of the pool, of the test set, or both"
    )
    promise: Promise | None = Field(
        default_factory=Promise,
        description="what is promised of what is kept; null for nothing",
    )
    score: float | None = Field(
        None, ge=0, le=1, description="a threshold for all categories, where nothing is promised"
    )
    iou: float = Field(0.5, gt=0, le=1, description="boxes: from which on an object is found")
    cap: int = Field(
        3, ge=1, description="boxes and crops: most that are kept of a category on an image"
    )
    truth: str | None = Field(
        None,
        description="the dataset of what is on the pool, where it is known; only the certificate "
        "reads it",
    )
    ignore: float = Field(
        0.1,
        ge=0,
        le=1,
        description="boxes: what is not kept and has this score is ignored, not background",
    )
    share: float = Field(1.0, gt=0, le=1, description="share of the images, the surest first")
    mask_area: int = Field(
        30, ge=1, description="masks: smaller regions are ignored, square pixels"
    )
    soft: bool = Field(
        False, description="classes: learn from the probabilities, not from the best"
    )
    near_duplicate_distance: int | None = Field(
        8, ge=0, le=64, description="images that look like held-out or test images are left out: "
        "bits, of 64, in which their hashes may differ; null leaves that check out",
    )  # fmt: skip

    @model_validator(mode="after")
    def _a_promise_or_a_score(self) -> PseudoLabeling:
        if self.promise is None and self.score is None:
            raise ValueError("promise is null, so a score has to be set: score: 0.5")
        if (
            self.score is not None
            and self.promise is not None
            and "promise" in self.model_fields_set
        ):
            raise ValueError("score is a threshold of which nothing is promised; set promise: null")
        return self

    @property
    def promised(self) -> Promise | None:
        """What is promised; None where the threshold is set."""
        return None if self.score is not None else self.promise


def choose_thresholds(
    graded: Graded, categories: pd.DataFrame, settings: PseudoLabeling
) -> Thresholds:
    """The threshold of each category: the lowest that keeps the promise, or the one that is set.

    Args:
        graded: What would be kept on held-out images, and how much of it is wrong.
        categories: In the order of `graded`: `category_id`, `name` and `supercategory`.
        settings: Those of the round.
    """
    promise = settings.promised
    chosen: NDArray[np.float64]
    if promise is None:
        chosen = np.array([settings.score] * len(categories), dtype=np.float64)
        reasons = ["set, nothing is promised"] * len(categories)
    else:
        chosen = promised_thresholds(graded, promise)
        reasons = [
            "promised" if found
            else "more may be wrong than is promised" if enough
            else "too few held-out images"
            for found, enough in zip(~np.isnan(chosen), has_enough(graded, promise), strict=True)
        ]  # fmt: skip
    # Of a threshold between two of the grid the upper one is shown.
    place = np.searchsorted(-GRID, -np.nan_to_num(chosen, nan=2.0), side="right") - 1
    place = np.minimum(place, len(GRID) - 1)
    shown = [
        (graded.kept[:, n, at], graded.wrong[:, n, at]) if at >= 0 else (np.zeros(1), np.zeros(1))
        for n, at in enumerate(place)
    ]
    table = pd.DataFrame(
        {
            "category_id": categories["category_id"],
            "category": categories["name"],
            "supercategory": categories["supercategory"],
            "threshold": pd.array(chosen, dtype="Float64"),
            "precision": pd.NA if promise is None else promise.precision,
            "confidence": pd.NA if promise is None else promise.confidence,
            "units": [int((kept > 0).sum()) for kept, _ in shown],
            "kept": [float(kept.sum()) for kept, _ in shown],
            "wrong": [float(wrong.sum()) for _, wrong in shown],
            "reason": reasons,
        }
    )
    table.loc[table["threshold"].isna(), ["precision", "confidence"]] = pd.NA
    return Thresholds(THRESHOLDS.conform(table, where="thresholds"))


def units_of(images: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The unit of each image: its group.

    Args:
        images: With `group`.

    Returns:
        (images,), from 0; and (units,), how many images each has.

    >>> units_of(pd.DataFrame({"group": ["b", "a", "b"]}))
    (array([0, 1, 0]), array([2, 1]))
    """
    unit, _ = pd.factorize(images["group"])
    return unit.astype(np.int64), np.bincount(unit)


def graded_by_score(
    rows: pd.DataFrame, images: pd.DataFrame, n_categories: int, cap: int
) -> Graded:
    """What would be kept at each threshold, of predictions with a score each.

    Args:
        rows: `image` and `category` (numbers from 0), `score`, and `outcome`: 0 for wrong, 1 for
            right, 2 for neither.
        images: All images that were predicted on, with `group`.
        n_categories: How many categories there are.
        cap: Most that is kept of a category on an image: the surest.
    """
    surest = _is_of_the_surest(rows["score"], rows["image"], rows["category"], cap)
    counted = rows[surest & (rows["outcome"] != 2)]
    unit_of_image, sizes = units_of(images)
    unit = unit_of_image[counted["image"].to_numpy(dtype=np.int64)]
    category = counted["category"].to_numpy(dtype=np.int64)
    at = first_reached(counted["score"].to_numpy())
    shape = (len(sizes), n_categories, len(GRID) + 1)
    kept, wrong = np.zeros(shape), np.zeros(shape)
    np.add.at(kept, (unit, category, at), 1 / sizes[unit])
    np.add.at(wrong, (unit, category, at), (counted["outcome"] == 0).to_numpy() / sizes[unit])
    return Graded(kept.cumsum(axis=2)[..., :-1], wrong.cumsum(axis=2)[..., :-1], cap)


def first_reached(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """The place in `GRID` of the first threshold that each score reaches; its length for none.

    Scores and thresholds meet in 32 bits, as many as most scores have: 9 votes of 10 are 0.9.

    Args:
        scores: (n,), 0 to 1.

    >>> GRID[first_reached(np.array([9], np.float32) / np.float32(10))].tolist()
    [0.9]
    """
    return np.searchsorted(-GRID.astype(np.float32), -scores.astype(np.float32))


def is_kept(
    table: pd.DataFrame, thresholds: Thresholds, settings: PseudoLabeling, n_images: int
) -> pd.Series[bool]:
    """Which predictions become annotations.

    Args:
        table: All predictions: `image_id`, `category_id` and `score`.
        thresholds: Which scores are kept.
        settings: `cap` and `share` are looked at.
        n_images: How many images were predicted on.
    """
    least = thresholds.set_index("category_id")["threshold"].astype("float64").fillna(np.inf)
    image, category, score = table["image_id"], table["category_id"], table["score"]
    kept = score.astype("float32") >= category.map(least).astype("float32")
    kept &= _is_of_the_surest(score, image, category, settings.cap)
    sure = table[kept].set_index("image_id")["score"]
    return kept & image.isin(surest_images(sure, settings.share, n_images))


def _is_of_the_surest(
    score: pd.Series[float], image: pd.Series[int], category: pd.Series[int], cap: int
) -> pd.Series[bool]:
    """Whether each is among the `cap` highest scores of its category on its image."""
    return score.groupby([image, category]).rank("first", ascending=False) <= cap


def surest_images(scores: pd.Series, share: float, n_images: int) -> Collection[int]:
    """The images that are kept where only a share of them is: those of the highest mean score.

    Args:
        scores: Of what is kept, by `image_id`.
        share: Of all images; rounded down, but one image at least.
        n_images: How many images there are.

    >>> surest_images(pd.Series([0.5, 0.9, 0.8], index=[1, 1, 2]), 0.5, 2)
    [2]
    """
    order = scores.groupby(level=0).mean().sort_values(ascending=False, kind="stable")
    # 0.29 of 100 is a little less than 29 in binary.
    most = len(order) if share == 1 else max(1, math.floor(share * n_images + 1e-9))
    return list(order.index[:most])


def as_annotations(
    rows: pd.DataFrame, unlabeled: Annotations, categories: pd.DataFrame
) -> Annotations:
    """Annotations of the unlabelled images, made by models.

    Args:
        rows: The annotations' columns but for ids, `iscrowd` (if absent), `source` and `extra`.
        unlabeled: The images.
        categories: Schema `CATEGORIES`.

    Returns:
        Annotations with ``source = "pseudo"``, of the images that received at least one.
    """
    table = rows.reset_index(drop=True).assign(
        annotation_id=range(1, len(rows) + 1), source="pseudo"
    )
    for column, default in (("iscrowd", False), ("segmentation", None), ("extra", None)):
        if column not in table:
            table[column] = default
    return Annotations(
        images=unlabeled.images,
        annotations=ANNOTATIONS.conform(table[ANNOTATIONS.names], where="pseudo-labels"),
        categories=categories,
    ).of_images(table["image_id"])


def examples(fates: pd.DataFrame, n: int = 12) -> Examples:
    """The surest and the least sure of what is kept, and the surest of what is not.

    Args:
        fates: All predictions: `image_id`, `category_id`, `score`, the box, and `fate`.
        n: Most of a kind.
    """
    order = fates.sort_values("score", ascending=False, kind="stable")
    kept, rest = order[order["fate"] == "kept"], order[order["fate"] != "kept"]
    kinds = {"surest": kept[:n], "least sure": kept[n:][::-1][:n], "refused": rest[:n]}
    table = pd.concat([own.assign(kind=kind) for kind, own in kinds.items()], ignore_index=True)
    return Examples(EXAMPLES.conform(table[EXAMPLES.names], where="examples"))


def audit(table: pd.DataFrame, categories: pd.DataFrame) -> PseudoAudit:
    """Count, by category, what became of the teacher's predictions.

    Args:
        table: All predictions: `category_id`, `score`, and `fate`: "kept", "ignored" or "refused".
        categories: The categories.

    Example:
        >>> fates = {"category_id": 5, "score": [0.5, 0.75], "fate": ["refused", "kept"]}
        >>> categories = pd.DataFrame({"category_id": [5], "name": ["paper"]})
        >>> counts = audit(pd.DataFrame(fates), categories)
        >>> counts[["predicted", "kept", "refused", "mean_score"]].values.tolist()
        [[2.0, 1.0, 1.0, 0.75]]
    """
    ids = categories["category_id"]
    counts = {
        fate: ids.map(table.loc[table["fate"] == fate, "category_id"].value_counts()).fillna(0)
        for fate in ("kept", "ignored", "refused")
    }
    means = table[table["fate"] == "kept"].groupby("category_id")["score"].mean()
    return PseudoAudit(
        PSEUDO_AUDIT.conform(
            pd.DataFrame(
                {
                    "category": categories["name"],
                    "predicted": sum(counts.values()),
                    **counts,
                    "mean_score": ids.map(means).fillna(0.0).astype("float64"),
                }
            ),
            where="pseudo-labels",
        )
    )
