"""The three kinds of prediction, and the files that the competitions take."""

from recycling.predictions.core import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    IGNORE,
    ClassProbabilities,
    Detections,
    LabelMap,
    LabelMaps,
    Predictions,
    SubmissionError,
)
from recycling.predictions.external import ExternalMembers, ExternalPart, members_in
from recycling.predictions.formats.aistages_detection import (
    detections_to_submission,
    read_detections_csv,
)
from recycling.predictions.formats.aistages_segmentation import (
    label_maps_to_submission,
    read_label_maps_csv,
)
from recycling.predictions.formats.class_probabilities import class_probabilities_to_submission
from recycling.predictions.formats.class_table import read_class_probabilities_csv
from recycling.predictions.formats.classes import classes_to_submission
from recycling.predictions.formats.classified_boxes import classified_boxes_to_submission
from recycling.predictions.formats.image_classes import (
    image_classes_to_submission,
    read_image_classes_csv,
)
from recycling.predictions.formats.rows import MissingImages
from recycling.predictions.plausible import UnusualBoxes
from recycling.predictions.probability_maps import (
    ProbabilityMaps,
    ProbabilityPlanes,
    ProbableLabelMaps,
    probability_planes,
    read_planes,
    write_planes,
)
from recycling.predictions.submission import (
    BOX_FORMATS,
    CLASS_FORMATS,
    MASK_FORMATS,
    BoxFormat,
    ClassFormat,
    MaskFormat,
    read_submission,
    to_submission,
)

__all__ = [
    "BOX_FORMATS",
    "CLASS_FORMATS",
    "CLASS_PROBABILITIES",
    "DETECTIONS",
    "IGNORE",
    "MASK_FORMATS",
    "BoxFormat",
    "ClassFormat",
    "ClassProbabilities",
    "Detections",
    "ExternalMembers",
    "ExternalPart",
    "LabelMap",
    "LabelMaps",
    "MaskFormat",
    "MissingImages",
    "Predictions",
    "ProbabilityMaps",
    "ProbabilityPlanes",
    "ProbableLabelMaps",
    "SubmissionError",
    "UnusualBoxes",
    "class_probabilities_to_submission",
    "classes_to_submission",
    "classified_boxes_to_submission",
    "detections_to_submission",
    "image_classes_to_submission",
    "label_maps_to_submission",
    "members_in",
    "probability_planes",
    "read_class_probabilities_csv",
    "read_detections_csv",
    "read_image_classes_csv",
    "read_label_maps_csv",
    "read_planes",
    "read_submission",
    "to_submission",
    "write_planes",
]
