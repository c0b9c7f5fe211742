"""Predictions that a teacher is sure of, as annotations for a second round of training."""

from recycling.pseudo_labels.boxes import annotate_boxes
from recycling.pseudo_labels.core import PSEUDO_AUDIT, PseudoAudit, PseudoLabeling
from recycling.pseudo_labels.labels import annotate_crops
from recycling.pseudo_labels.masks import annotate_regions

__all__ = [
    "PSEUDO_AUDIT",
    "PseudoAudit",
    "PseudoLabeling",
    "annotate_boxes",
    "annotate_crops",
    "annotate_regions",
]
