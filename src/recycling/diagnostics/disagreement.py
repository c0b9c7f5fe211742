"""Where two predictions of the same images differ, by class."""

from __future__ import annotations

from typing import Any, NewType

import numpy as np
import pandas as pd

from recycling.annotations import BOX, Annotations
from recycling.annotations.masks import label_maps as true_label_maps
from recycling.diagnostics.changes import (
    Changes,
    detection_changes,
    label_map_changes,
    probability_changes,
)
from recycling.ensembling.masks.image_members import stacked
from recycling.evaluation.box_matching import IGNORED, match_part
from recycling.evaluation.object_sizes import AREA_RANGES
from recycling.predictions import ClassProbabilities, Detections, LabelMaps
from recycling.tables import Column, Schema, register_table

Disagreement = NewType("Disagreement", pd.DataFrame)
"""One row a pair of classes; schema `DISAGREEMENT`."""

NOTHING, BACKGROUND = "nothing", "background"

DISAGREEMENT = Schema(
    "disagreement",
    (
        Column("first", "string", "what the first says; `nothing` for a box that it has not"),
        Column("second", "string", "what the second says"),
        Column("count", "int64", "how many crops, boxes or pixels", minimum=0),
        Column("share", "float64", "of all of the first's class", minimum=0),
    ),
)

register_table("disagreement", DISAGREEMENT, Disagreement)

SCORE, OVERLAP = 0.3, 0.5
"""The score from which on a box counts as said, and the overlap (IoU) of two that are the same."""


def disagreement(
    truth: Annotations, first: Any, second: Any, *, score_threshold: float = SCORE
) -> Disagreement:
    """How two predictions differ, class by class.

    Args:
        truth: The images that were predicted on; only names of categories are looked at.
        first: Detections, class probabilities or label maps.
        second: Of the same kind, of the same images.
        score_threshold: Boxes below this score are left out.

    Returns:
        Counts of what both say of each crop, box or pixel, those that differ most often first.

    Raises:
        EnsemblingError: One lacks images that the other has.
    """
    said = paired(truth, first, second, score_threshold=score_threshold)
    if isinstance(second, pd.DataFrame):
        return _counted(said[["first", "second"]].value_counts())
    return _counted(said.groupby(["first", "second"])["count"].sum())


def paired(
    truth: Annotations, first: Any, second: Any, *, score_threshold: float = SCORE
) -> pd.DataFrame:
    """What two predictions say of each crop, each box, or the pixels of each image.

    Args:
        truth: The images that were predicted on; what is on them tells the images of crops.
        first: Detections, class probabilities or label maps.
        second: Of the same kind, of the same images.
        score_threshold: Boxes below this score are left out.

    Returns:
        `image_id`, `first` and `second`. Of crops, their `annotation_id` as well. Of boxes, the
        labels of their rows in the two tables, `first_row` and `second_row` (-1 where one has
        none), and `iou`. Of pixels, their `count`.

    Raises:
        EnsemblingError: One lacks images that the other has.
    """
    names = dict(zip(truth.categories["category_id"], truth.categories["name"], strict=True))
    if not isinstance(second, pd.DataFrame):
        return _of_pixels(list(names.values()), first, second)
    if "image_id" in second:
        return _of_boxes(names, first, Detections(second), score_threshold)
    return _of_crops(truth, first, ClassProbabilities(second))


def changes_between(first: Any, second: Any, *, score_threshold: float = SCORE) -> Changes:
    """How far two predictions differ, by image or crop, the most first.

    Args:
        first: Detections, class probabilities or label maps.
        second: Of the same kind, of the same images.
        score_threshold: Boxes below this score are left out.

    Raises:
        EnsemblingError: One lacks images, crops or classes that the other has.
    """
    if not isinstance(second, pd.DataFrame):
        return label_map_changes(first, second)
    if "image_id" in second:
        return detection_changes(
            Detections(first),
            Detections(second),
            member_threshold=score_threshold,
            ensemble_threshold=score_threshold,
        )
    return probability_changes(ClassProbabilities(first), ClassProbabilities(second))


def as_predictions(truth: Annotations, like: Any) -> Any:
    """The truth in the form of predictions.

    Args:
        truth: The images and what is on them.
        like: Predictions of the kind that is wanted.
    """
    if not isinstance(like, pd.DataFrame):
        return true_label_maps(truth)
    objects = truth.objects().annotations
    if "image_id" in like:
        return Detections(objects[["image_id", "category_id", *BOX]].assign(score=1.0))
    names = truth.categories["name"].tolist()
    known = objects.merge(truth.categories, on="category_id").set_index("annotation_id")
    own = pd.DataFrame({"annotation_id": like["annotation_id"]})
    true = known["name"].loc[own["annotation_id"]].to_numpy()
    return ClassProbabilities(
        own.assign(**{name: (true == name).astype("float32") for name in names})
    )


def without_ignored(truth: Annotations, predictions: Any) -> Any:
    """Predictions without the boxes that the score ignores, such as those on crowd regions.

    Args:
        truth: The images that were predicted on, and what is on them.
        predictions: Detections, whose rows keep their labels; others are given back as they are.

    Raises:
        EvaluationError: A detection is on an image or of a category that the truth does not know.
    """
    if not isinstance(predictions, pd.DataFrame) or "image_id" not in predictions:
        return predictions
    matching = match_part(
        truth, Detections(predictions), iou_thresholds=[OVERLAP], area_ranges=AREA_RANGES[:1]
    )
    counts = np.ones(len(predictions), dtype=np.bool_)
    counts[matching.row[matching.outcome[0, 0] == IGNORED]] = False
    return Detections(predictions[counts])


def confusion_counts(
    truth: Annotations, predictions: Any, *, score_threshold: float = SCORE
) -> Disagreement:
    """The confusion matrix of predictions; boxes that the score ignores are in no cell.

    Args:
        truth: The images that were predicted on, and what is on them.
        predictions: Detections, class probabilities or label maps.
        score_threshold: Boxes below this score are left out.

    Returns:
        What is true (`first`) against what is said (`second`), as `disagreement` counts it.

    Raises:
        EvaluationError: A detection is on an image or of a category that the truth does not know.
    """
    expected = as_predictions(truth, predictions)
    counted = without_ignored(truth, predictions)
    return disagreement(truth, expected, counted, score_threshold=score_threshold)


def _of_crops(
    truth: Annotations, first: ClassProbabilities, second: ClassProbabilities
) -> pd.DataFrame:
    classes = [name for name in first.columns if name != "annotation_id"]
    other = second.set_index("annotation_id").loc[first["annotation_id"], classes]
    said = [np.array(classes)[table.to_numpy().argmax(axis=1)] for table in (first[classes], other)]
    image_of = truth.annotations.set_index("annotation_id")["image_id"]
    crops = first["annotation_id"].to_numpy()
    return pd.DataFrame(
        {
            "image_id": image_of.reindex(crops).to_numpy(),
            "annotation_id": crops,
            "first": said[0],
            "second": said[1],
        }
    )


def _of_boxes(
    names: dict[Any, Any], first: Detections, second: Detections, threshold: float
) -> pd.DataFrame:
    """Boxes of both, paired one to one on each image where they overlap enough.

    As many as can be are pairs of one class, and of these pairings it is the one that overlaps
    most.
    """
    from scipy.optimize import linear_sum_assignment
    from supervision import box_iou_batch

    said: list[tuple[Any, ...]] = []
    kept = [table[table["score"] >= threshold] for table in (first, second)]
    of_image: list[dict[Any, Any]] = [dict(iter(table.groupby("image_id"))) for table in kept]
    for image_id in sorted({*of_image[0], *of_image[1]}):
        own, other = (found.get(image_id, first.iloc[:0]) for found in of_image)
        iou = box_iou_batch(own[[*BOX]].to_numpy(), other[[*BOX]].to_numpy())
        is_same = np.equal.outer(own["category_id"].to_numpy(), other["category_id"].to_numpy())
        # A pair of one class outweighs all others together; too little overlap is worth nothing.
        worth = np.where(iou >= OVERLAP, iou + is_same * (min(iou.shape) + 1), 0.0)
        rows, columns = linear_sum_assignment(worth, maximize=True)
        pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if iou[r, c] >= OVERLAP]
        of_own, of_other = (
            [
                (names[category], row)
                for category, row in zip(side["category_id"], side.index, strict=True)
            ]
            for side in (own, other)
        )
        said += [(image_id, *of_own[r], *of_other[c], float(iou[r, c])) for r, c in pairs]
        paired = [set(side) for side in zip(*pairs, strict=True)] or [set(), set()]
        said += [
            (image_id, *each, NOTHING, -1, 0.0)
            for row, each in enumerate(of_own)
            if row not in paired[0]
        ]
        said += [
            (image_id, NOTHING, -1, *each, 0.0)
            for row, each in enumerate(of_other)
            if row not in paired[1]
        ]
    columns = ["image_id", "first", "first_row", "second", "second_row", "iou"]
    return pd.DataFrame(said, columns=columns)


def _of_pixels(names: list[str], first: LabelMaps, second: LabelMaps) -> pd.DataFrame:
    labels = np.array([BACKGROUND, *names, *["ignored"] * (255 - len(names))])
    found = []
    for image_id in second:
        other, own = stacked([second, first], image_id)
        counts = np.bincount(own.ravel().astype(np.int64) * 256 + other.ravel(), minlength=1 << 16)
        pairs = np.flatnonzero(counts)
        rows, columns = labels[pairs // 256], labels[pairs % 256]
        found.append(
            pd.DataFrame(
                {"image_id": image_id, "first": rows, "second": columns, "count": counts[pairs]}
            )
        )
    if not found:
        return pd.DataFrame({"image_id": [], "first": [], "second": [], "count": []})
    return pd.concat(found, ignore_index=True)


def _counted(counts: pd.Series) -> Disagreement:
    frame = counts.rename("count").reset_index()
    frame["share"] = frame["count"] / frame.groupby("first")["count"].transform("sum")
    frame["alike"] = frame["first"] == frame["second"]
    frame = frame.sort_values(["alike", "count"], ascending=[True, False], kind="stable")
    return Disagreement(DISAGREEMENT.conform(frame, where="disagreement"))
