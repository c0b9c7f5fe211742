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
from recycling.predictions.dropped import DroppedMembers, DroppedPart, members_in
from recycling.predictions.formats.boxes import (
    detections_to_submission,
    read_detections_csv,
    write_detections_csv,
)
from recycling.predictions.formats.classes import (
    class_probabilities_to_submission,
    read_class_probabilities_csv,
    write_class_probabilities_csv,
    write_classes_csv,
)
from recycling.predictions.formats.masks import (
    label_maps_to_submission,
    read_label_map_stack,
    read_label_maps_csv,
    write_label_maps_csv,
)
from recycling.predictions.formats.rows import MissingImages
from recycling.predictions.probability_maps import (
    ProbabilityMaps,
    ProbabilityPlanes,
    ProbableLabelMaps,
    probability_planes,
    read_planes,
    write_planes,
)

__all__ = [
    "CLASS_PROBABILITIES",
    "DETECTIONS",
    "IGNORE",
    "ClassProbabilities",
    "Detections",
    "DroppedMembers",
    "DroppedPart",
    "LabelMap",
    "LabelMaps",
    "MissingImages",
    "Predictions",
    "ProbabilityMaps",
    "ProbabilityPlanes",
    "ProbableLabelMaps",
    "SubmissionError",
    "class_probabilities_to_submission",
    "detections_to_submission",
    "label_maps_to_submission",
    "members_in",
    "probability_planes",
    "read_class_probabilities_csv",
    "read_detections_csv",
    "read_label_map_stack",
    "read_label_maps_csv",
    "read_planes",
    "write_class_probabilities_csv",
    "write_classes_csv",
    "write_detections_csv",
    "write_label_maps_csv",
    "write_planes",
]
