"""Candidates for errors of labels: what models that have not seen a label say of it."""

from recycling.diagnostics.label_errors.boxes import box_label_errors
from recycling.diagnostics.label_errors.classes import class_label_errors
from recycling.diagnostics.label_errors.core import (
    LABEL_ERRORS,
    LabelErrors,
    LabelErrorSettings,
    rank_label_errors,
)
from recycling.diagnostics.label_errors.masks import mask_label_errors
from recycling.diagnostics.label_errors.proposal import correction, proposed, proposed_corrections
from recycling.diagnostics.label_errors.weighing import weighed

__all__ = [
    "LABEL_ERRORS",
    "LabelErrorSettings",
    "LabelErrors",
    "box_label_errors",
    "class_label_errors",
    "correction",
    "mask_label_errors",
    "proposed",
    "proposed_corrections",
    "rank_label_errors",
    "weighed",
]
