"""Crops whose class the teacher is sure of become annotations."""

from __future__ import annotations

import pandas as pd

from recycling.annotations import Annotations
from recycling.predictions import ClassProbabilities
from recycling.pseudo_labels.core import PseudoAudit, PseudoLabeling, audit


def annotate_crops(
    probabilities: ClassProbabilities,
    crops: Annotations,
    labeled: Annotations,
    settings: PseudoLabeling,
) -> tuple[Annotations, PseudoAudit]:
    """Give unlabelled crops the class that the teacher is sure of.

    Args:
        probabilities: What the teacher says of the crops, one row an annotation of `crops`.
        crops: The boxes that were looked at.
        labeled: The annotations that the teacher learnt from, for the categories.
        settings: `label_score` is what a class needs.

    Returns:
        The annotations of `crops` that were kept, with category and score of the teacher, and an
        audit row a category.
    """
    names = labeled.categories["name"].tolist()
    table = probabilities[names]
    predicted = pd.DataFrame(
        {
            "annotation_id": probabilities["annotation_id"],
            "category_id": labeled.categories["category_id"].to_numpy()[
                table.to_numpy().argmax(axis=1)
            ],
            "score": table.max(axis=1).astype("float64").clip(upper=1.0),
        }
    )
    kept = predicted[predicted["score"] >= settings.label_score]
    boxes = crops.annotations.drop(columns=["category_id", "score"])
    rows = boxes.merge(kept, on="annotation_id", validate="one_to_one")
    annotations = Annotations(
        images=crops.images,
        annotations=rows[crops.annotations.columns.tolist()],
        categories=labeled.categories,
    ).of_images(rows["image_id"])
    return annotations, audit(predicted, kept, labeled.categories)
