"""Crops whose class the teacher is sure of become annotations."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from recycling.annotations import Annotations
from recycling.predictions import ClassProbabilities
from recycling.pseudo_labels.core import (
    PseudoLabeling,
    Thresholds,
    graded_by_score,
    is_kept,
)
from recycling.pseudo_labels.promise import Graded


def grade_crops(
    probabilities: ClassProbabilities, truth: Annotations, settings: PseudoLabeling
) -> Graded:
    """How right the teacher's classes are on crops that it has not seen.

    Args:
        probabilities: What it says of them, one row an annotation of `truth`.
        truth: The crops' annotations.
        settings: `cap` is looked at.
    """
    best = _best(probabilities, truth.categories)
    crops = truth.annotations[["annotation_id", "image_id", "category_id"]]
    rows = best.merge(crops, on="annotation_id", suffixes=("", "_true"), validate="one_to_one")
    rows = pd.DataFrame(
        {
            "image": pd.Index(truth.images["image_id"]).get_indexer(rows["image_id"]),
            "category": pd.Index(truth.categories["category_id"]).get_indexer(rows["category_id"]),
            "score": rows["score"],
            "outcome": (rows["category_id"] == rows["category_id_true"]).astype(int),
        }
    )
    return graded_by_score(rows, truth.images, len(truth.categories), settings.cap)


def annotate_crops(
    probabilities: ClassProbabilities,
    crops: Annotations,
    thresholds: Thresholds,
    categories: pd.DataFrame,
    settings: PseudoLabeling,
) -> tuple[Annotations, pd.DataFrame]:
    """Give unlabelled crops the class that the teacher is sure of.

    Args:
        probabilities: What the teacher says of the crops, one row an annotation of `crops`.
        crops: The boxes that were looked at.
        thresholds: Which probabilities are kept.
        categories: Schema `CATEGORIES`.
        settings: Those of the round. With `soft` the probabilities go to `extra`, for trainings
            that learn from them.

    Returns:
        The annotations of `crops` that were kept, with category and score of the teacher and
        ``source = "pseudo"``; and all crops, with their `fate`: "kept" or "refused".
    """
    best = _best(probabilities, categories)
    boxes = crops.annotations.drop(columns=["category_id", "score"]).assign(source="pseudo")
    rows = boxes.merge(best, on="annotation_id", validate="one_to_one")
    sure = is_kept(rows, thresholds, settings, len(crops.images))
    table = rows.assign(fate=np.where(sure, "kept", "refused"))
    kept = rows[sure]
    if settings.soft:
        kept = kept.assign(extra=_soft_labels(probabilities, kept["annotation_id"], categories))
    annotations = Annotations(
        images=crops.images,
        annotations=kept[crops.annotations.columns.tolist()].reset_index(drop=True),
        categories=categories,
    ).of_images(kept["image_id"])
    return annotations, table


def _best(probabilities: ClassProbabilities, categories: pd.DataFrame) -> pd.DataFrame:
    """The most probable class of each crop: `annotation_id`, `category_id`, `score`."""
    table = probabilities[categories["name"].tolist()]
    return pd.DataFrame(
        {
            "annotation_id": probabilities["annotation_id"],
            "category_id": categories["category_id"].to_numpy()[table.to_numpy().argmax(axis=1)],
            "score": table.max(axis=1).astype("float64").clip(upper=1.0),
        }
    )


def _soft_labels(
    probabilities: ClassProbabilities, ids: pd.Series, categories: pd.DataFrame
) -> list[str]:
    names = categories["name"].tolist()
    rows = probabilities.set_index("annotation_id").loc[ids, names].to_dict("records")
    return [json.dumps({"probabilities": row}, ensure_ascii=False) for row in rows]
