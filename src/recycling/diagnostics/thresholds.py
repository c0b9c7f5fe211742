"""What a score threshold does to a detector: mAP forgives extra boxes, people do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NewType

import numpy as np
import pandas as pd

from recycling.evaluation.box_matches import BoxMatches
from recycling.tables import Column, Schema, register_table

ScoreThresholds = NewType("ScoreThresholds", pd.DataFrame)
"""One row a threshold; schema `SCORE_THRESHOLDS`."""

SCORE_THRESHOLDS = Schema(
    "score thresholds",
    (
        Column("threshold", "float64", "boxes below it are left out", minimum=0, maximum=1),
        Column("mAP50", "float64", "of the boxes that are left", minimum=0, maximum=1),
        Column("precision", "float64", "the share of them that are right", minimum=0, maximum=1),
        Column("recall", "float64", "the share of objects that they find", minimum=0, maximum=1),
        Column("f1", "float64", "harmonic mean of precision and recall", minimum=0, maximum=1),
        Column("boxes_per_image", "float64", "boxes that are left", minimum=0),
    ),
)
register_table("score_thresholds", SCORE_THRESHOLDS, ScoreThresholds)

PrecisionThresholds = NewType("PrecisionThresholds", pd.DataFrame)
"""One row a class and target; schema `PRECISION_THRESHOLDS`."""

PRECISION_THRESHOLDS = Schema(
    "precision thresholds",
    (
        Column("category", "string", "the class; 'all classes' for all together"),
        Column("target", "float64", "the precision asked for", minimum=0, maximum=1),
        Column(
            "threshold",
            "Float64",
            "the lowest score from which on it is reached; missing where it never is",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        Column(
            "precision", "Float64", "what is reached there", nullable=True, minimum=0, maximum=1
        ),
        Column(
            "recall", "Float64", "the share of objects that are found", nullable=True, minimum=0
        ),
        Column(
            "boxes",
            "Int64",
            "how many boxes are kept there, of which the precision is",
            nullable=True,
            minimum=1,
        ),
    ),
)
register_table("precision_thresholds", PRECISION_THRESHOLDS, PrecisionThresholds)

TARGETS = (0.5, 0.75, 0.9)
"""The precisions that are asked for."""

ALL_CLASSES = "all classes"


def precision_thresholds(matches: BoxMatches, categories: Sequence[str]) -> PrecisionThresholds:
    """The lowest score threshold of each class at which enough of its boxes are right.

    Args:
        matches: What was found, from `match_boxes`.
        categories: The names of the categories, in the order of the truth.

    Returns:
        For all classes together, then for each that the truth holds, a row for each of `TARGETS`;
        schema `PRECISION_THRESHOLDS`. The threshold keeps as many boxes as it can: that the
        precision holds at each higher one is not said. It is chosen and judged on the same boxes,
        so of few of them it is luck: `recycling.pseudo_labels.choose_thresholds` makes promises.
    """
    rows = []
    for number, name in enumerate([ALL_CLASSES, *categories], start=-1):
        own = matches.category == number if number >= 0 else np.ones(len(matches.category), bool)
        objects = matches.object_category == number if number >= 0 else matches.object_category >= 0
        n_objects = int(objects.sum())
        if n_objects == 0:
            continue
        order = np.argsort(-matches.score[own], kind="stable")
        score, right = matches.score[own][order], np.cumsum(matches.hit[own][order])
        precision = right / np.arange(1, len(score) + 1)
        # Boxes of equal scores are kept together.
        is_last = np.append(np.diff(score) != 0, True) if len(score) else np.empty(0, bool)
        for target in TARGETS:
            reached = np.flatnonzero(is_last & (precision >= target))
            if len(reached):
                at = reached[-1]
                found = (score[at], precision[at], right[at] / n_objects)
                rows.append((name, target, *map(float, found), at + 1))
            else:
                rows.append((name, target, None, None, None, None))
    frame = pd.DataFrame(rows, columns=PRECISION_THRESHOLDS.names)
    frame = frame.astype(
        {**dict.fromkeys(("threshold", "precision", "recall"), "Float64"), "boxes": "Int64"}
    )
    return PrecisionThresholds(PRECISION_THRESHOLDS.conform(frame, where="precision thresholds"))


def score_thresholds(matches: BoxMatches) -> ScoreThresholds:
    """Accuracy and number of boxes over score thresholds: each hundredth up to the highest score.

    A box is right if it is of the object's category and overlaps it by an intersection over union
    of 0.5, and no better box has found the object. Precision and recall are of all categories
    together.

    Args:
        matches: What was found, from `match_boxes`.

    Returns:
        One row a threshold, ascending; schema `SCORE_THRESHOLDS`. Where no box is left precision
        is 1, as none is wrong.
    """
    at = np.round(np.arange(0, 101) / 100, 2)
    at = at[at <= matches.score.max(initial=0)]
    ascending = np.sort(matches.score)
    ascending_hits = np.sort(matches.score[matches.hit])
    boxes = len(ascending) - np.searchsorted(ascending, at, side="left")
    hits = len(ascending_hits) - np.searchsorted(ascending_hits, at, side="left")
    n_objects = len(matches.found_score)
    frame = pd.DataFrame(
        {
            "threshold": at,
            "mAP50": matches.scores_above(at),
            "precision": np.divide(hits, boxes, out=np.ones(len(at)), where=boxes > 0),
            "recall": hits / n_objects,
            "f1": 2 * hits / (boxes + n_objects),
            "boxes_per_image": boxes / matches.n_images,
        }
    )
    return ScoreThresholds(SCORE_THRESHOLDS.conform(frame, where="score thresholds"))


def best_threshold(thresholds: ScoreThresholds) -> float:
    """The threshold with the best F1; of equals, the lowest.

    >>> best_threshold(ScoreThresholds(pd.DataFrame({"threshold": [0.0, 0.4], "f1": [0.2, 0.6]})))
    0.4
    """
    return float(thresholds["threshold"].iloc[int(thresholds["f1"].to_numpy().argmax())])


def threshold_sentence(thresholds: ScoreThresholds) -> str:
    """What the lowest threshold costs people beside the one with the best F1.

    Args:
        thresholds: At least one row; schema `SCORE_THRESHOLDS`.

    Returns:
        A sentence without a full stop, like "at threshold 0 mAP50 is 0.48 and 92 % of the 61.0
        boxes an image are wrong; at 0.41, where F1 is best, it is 0.43 and 31 % of 2.4".
    """
    lowest = thresholds.iloc[0]
    best = thresholds[thresholds["threshold"] == best_threshold(thresholds)].iloc[0]
    first = (
        f"at threshold {lowest['threshold']:g} mAP50 is {lowest['mAP50']:.2f} and "
        f"{1 - lowest['precision']:.0%} of the {lowest['boxes_per_image']:.1f} boxes an image are "
        "wrong"
    ).replace("%", " %")
    if best["threshold"] == lowest["threshold"]:
        return f"{first}; F1 is best there"
    second = (
        f"at {best['threshold']:g}, where F1 is best, it is {best['mAP50']:.2f} and "
        f"{1 - best['precision']:.0%} of {best['boxes_per_image']:.1f}"
    ).replace("%", " %")
    return f"{first}; {second}"
