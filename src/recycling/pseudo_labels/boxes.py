"""Boxes that the teacher is sure of become annotations."""

from __future__ import annotations

from recycling.annotations import Annotations
from recycling.predictions import Detections
from recycling.pseudo_labels.core import PseudoAudit, PseudoLabeling, as_annotations, audit


def annotate_boxes(
    detections: Detections, unlabeled: Annotations, labeled: Annotations, settings: PseudoLabeling
) -> tuple[Annotations, PseudoAudit]:
    """Turn detections on unlabelled images into annotations.

    Args:
        detections: What the teacher found on the images of `unlabeled`.
        unlabeled: The images.
        labeled: The annotations that the teacher learnt from, for the categories.
        settings: `box_score` is what a box needs.

    Returns:
        The annotations, and an audit row a category.
    """
    kept = detections[detections["score"] >= settings.box_score]
    area = (kept["x_max"] - kept["x_min"]) * (kept["y_max"] - kept["y_min"])
    annotations = as_annotations(kept.assign(area=area), unlabeled, labeled)
    return annotations, audit(detections, kept, labeled.categories)
