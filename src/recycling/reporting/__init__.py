"""Figures, overlays and the table of scores: what a person sees of a run."""

from recycling.reporting.augmented_sets import augmented_sheet
from recycling.reporting.certificates import certificate_page, example_images
from recycling.reporting.changes import changed_boxes, changed_crops, changed_masks
from recycling.reporting.confusions import confusions_figure
from recycling.reporting.examples import cleaning_examples
from recycling.reporting.figures import (
    balance_figure,
    cleaning_figure,
    scores_figure,
)
from recycling.reporting.grids import (
    GRIDS,
    classification_grid,
    detection_grid,
    segmentation_grid,
)
from recycling.reporting.label_errors import label_errors_grid
from recycling.reporting.layout import RgbImage, image_grid
from recycling.reporting.overlays import overlay_detections, overlay_label_maps
from recycling.reporting.panels.likeness import likeness_figure
from recycling.reporting.report_page import report_page
from recycling.reporting.scores import Summary, TaskScores, scores_table
from recycling.reporting.sections import (
    Training,
    cleaning_panel,
    data_page,
    ensembles_page,
    folds_page,
    models_page,
)
from recycling.reporting.shift import shift_figure
from recycling.reporting.studies import study_figure
from recycling.reporting.tuning import tuning_figure

__all__ = [
    "GRIDS",
    "RgbImage",
    "Summary",
    "TaskScores",
    "Training",
    "augmented_sheet",
    "balance_figure",
    "certificate_page",
    "changed_boxes",
    "changed_crops",
    "changed_masks",
    "classification_grid",
    "cleaning_examples",
    "cleaning_figure",
    "cleaning_panel",
    "confusions_figure",
    "data_page",
    "detection_grid",
    "ensembles_page",
    "example_images",
    "folds_page",
    "image_grid",
    "label_errors_grid",
    "likeness_figure",
    "models_page",
    "overlay_detections",
    "overlay_label_maps",
    "report_page",
    "scores_figure",
    "scores_table",
    "segmentation_grid",
    "shift_figure",
    "study_figure",
    "tuning_figure",
]
