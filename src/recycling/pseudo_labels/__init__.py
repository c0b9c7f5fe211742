"""Predictions that a teacher is sure of, as annotations for a second round of training.

How sure it must be is learnt on images that it has not seen, so that a share of right can be
promised of what is kept.
"""

from recycling.pseudo_labels.boxes import annotate_boxes, grade_boxes
from recycling.pseudo_labels.certificate import CERTIFICATE, Certificate, certify
from recycling.pseudo_labels.classes import annotate_crops, grade_crops
from recycling.pseudo_labels.copies import (
    LEFT_OUT,
    LeftOut,
    images_alike,
    with_given_groups,
)
from recycling.pseudo_labels.core import (
    EXAMPLES,
    PSEUDO_AUDIT,
    THRESHOLDS,
    Examples,
    PseudoAudit,
    PseudoLabeling,
    Thresholds,
    audit,
    choose_thresholds,
    examples,
)
from recycling.pseudo_labels.masks import annotate_regions, grade_masks, with_background
from recycling.pseudo_labels.promise import (
    GRID,
    Graded,
    Promise,
    has_enough,
    log_evidence,
    promised_thresholds,
)

__all__ = [
    "CERTIFICATE",
    "EXAMPLES",
    "GRID",
    "LEFT_OUT",
    "PSEUDO_AUDIT",
    "THRESHOLDS",
    "Certificate",
    "Examples",
    "Graded",
    "LeftOut",
    "Promise",
    "PseudoAudit",
    "PseudoLabeling",
    "Thresholds",
    "annotate_boxes",
    "annotate_crops",
    "annotate_regions",
    "audit",
    "certify",
    "choose_thresholds",
    "examples",
    "grade_boxes",
    "grade_crops",
    "grade_masks",
    "has_enough",
    "images_alike",
    "log_evidence",
    "promised_thresholds",
    "with_background",
    "with_given_groups",
]
