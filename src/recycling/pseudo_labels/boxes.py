"""Boxes that the teacher is sure of become annotations, others regions to ignore."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recycling.annotations import Annotations
from recycling.evaluation.box_matching import MAX_DETECTIONS, match
from recycling.predictions import Detections
from recycling.pseudo_labels.core import (
    PseudoLabeling,
    Thresholds,
    as_annotations,
    graded_by_score,
    is_kept,
)
from recycling.pseudo_labels.promise import Graded


def grade_boxes(detections: Detections, truth: Annotations, settings: PseudoLabeling) -> Graded:
    """How right the teacher's boxes are on images that it has not seen.

    Args:
        detections: What it found on them.
        truth: What is on them. Boxes on crowd regions are neither right nor wrong.
        settings: `iou` and `cap` are looked at.
    """
    # All that may be kept, also beyond the 100 of a category on an image that COCO's metric counts.
    most = max(MAX_DETECTIONS, settings.cap)
    matching = match(truth, detections, iou_thresholds=[settings.iou], max_detections=most)
    rows = pd.DataFrame(
        {
            "image": matching.image,
            "category": matching.category,
            "score": matching.score,
            "outcome": matching.outcome[0, 0],
        }
    )
    return graded_by_score(rows, truth.images, len(truth.categories), settings.cap)


def annotate_boxes(
    detections: Detections,
    unlabeled: Annotations,
    thresholds: Thresholds,
    categories: pd.DataFrame,
    settings: PseudoLabeling,
) -> tuple[Annotations, pd.DataFrame]:
    """Turn detections on unlabelled images into annotations.

    What is not kept and has at least the score `ignore` becomes a region to ignore (`iscrowd`): an
    object that is likely there and must not be learnt as background.

    Args:
        detections: What the teacher found on the images of `unlabeled`.
        unlabeled: The images.
        thresholds: Which scores are kept.
        categories: Schema `CATEGORIES`.
        settings: Those of the round.

    Returns:
        The annotations, of images on which something is kept; and all detections, with their
        `fate`: "kept", "ignored" or "refused".
    """
    kept = is_kept(detections, thresholds, settings, len(unlabeled.images))
    on_kept = detections["image_id"].isin(detections.loc[kept, "image_id"])
    is_ignored = ~kept & on_kept & (detections["score"] >= settings.ignore)
    fate = np.select([kept, is_ignored], ["kept", "ignored"], "refused")
    table = detections.assign(
        fate=fate,
        iscrowd=is_ignored,
        area=(detections["x_max"] - detections["x_min"])
        * (detections["y_max"] - detections["y_min"]),
    )
    rows = table[table["fate"] != "refused"].drop(columns="fate")
    return as_annotations(rows, unlabeled, categories), table
