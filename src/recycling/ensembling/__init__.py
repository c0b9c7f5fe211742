"""Fusing the predictions of several models: boxes, masks, labels; and how alike they are.

Tables and arrays in, tables and arrays out. The loops are compiled by numba when first used and
cached on disk; importing this package imports none of it.
"""

# Methods, in the order in which a search tries them; the first of a kind is its default.
# isort: off
from recycling.ensembling.boxes.weighted_boxes_fusion import weighted_boxes_fusion
from recycling.ensembling.boxes.weighted_boxes_fusion.confidence import Confidence
from recycling.ensembling.boxes.nms import nms
from recycling.ensembling.boxes.soft_nms import soft_nms
from recycling.ensembling.boxes.non_maximum_weighted import non_maximum_weighted
from recycling.ensembling.masks.hard_vote import fuse_label_maps, hard_vote, vote_agreement
from recycling.ensembling.masks.soft_vote import fuse_probability_maps, soft_vote
from recycling.ensembling.classes.mean import average_probabilities
from recycling.ensembling.classes.geometric import geometric_mean_probabilities
from recycling.ensembling.classes.rank import rank_average_probabilities
from recycling.ensembling.classes.hard_vote import hard_vote_probabilities
from recycling.ensembling.classes.stacking import stack_probabilities
# isort: on

from recycling.ensembling.calibration import (
    CALIBRATIONS,
    Calibrator,
    calibrate_boxes,
    calibrate_classes,
    calibrate_masks,
    count_planes,
)
from recycling.ensembling.fusion import (
    counted_members,
    fuse,
    method_of,
    weighted_by_model,
    weights_of,
)
from recycling.ensembling.members import EnsemblingError, model_of
from recycling.ensembling.methods import (
    BOX_METHODS,
    CLASS_METHODS,
    MASK_METHODS,
    BoxFusion,
    ClassFusion,
    KnownLabels,
    LearntFusion,
    MaskFusion,
    calibration_of,
)
from recycling.ensembling.ranking import RANKING, Ranking, rank_members
from recycling.ensembling.search.candidates import (
    ALONE,
    DEFAULT,
    Candidate,
    Judge,
    Problem,
    settings_of,
)
from recycling.ensembling.search.core import ALL_FOLDS, HISTORY, Found, History, search
from recycling.ensembling.search.parts import parts_of
from recycling.ensembling.search.problems import (
    class_problem,
    detection_problem,
    fuse_candidate,
    mask_problem,
)
from recycling.ensembling.search.selection import (
    CHOICES,
    Choices,
    Scores,
    choice_sentence,
    chosen_row,
)
from recycling.ensembling.warm_up import compile_kernels

__all__ = [
    "ALL_FOLDS",
    "ALONE",
    "BOX_METHODS",
    "CALIBRATIONS",
    "CHOICES",
    "CLASS_METHODS",
    "DEFAULT",
    "HISTORY",
    "MASK_METHODS",
    "RANKING",
    "BoxFusion",
    "Calibrator",
    "Candidate",
    "Choices",
    "ClassFusion",
    "Confidence",
    "EnsemblingError",
    "Found",
    "History",
    "Judge",
    "KnownLabels",
    "LearntFusion",
    "MaskFusion",
    "Problem",
    "Ranking",
    "Scores",
    "average_probabilities",
    "calibrate_boxes",
    "calibrate_classes",
    "calibrate_masks",
    "calibration_of",
    "choice_sentence",
    "chosen_row",
    "class_problem",
    "compile_kernels",
    "count_planes",
    "counted_members",
    "detection_problem",
    "fuse",
    "fuse_candidate",
    "fuse_label_maps",
    "fuse_probability_maps",
    "geometric_mean_probabilities",
    "hard_vote",
    "hard_vote_probabilities",
    "mask_problem",
    "method_of",
    "model_of",
    "nms",
    "non_maximum_weighted",
    "parts_of",
    "rank_average_probabilities",
    "rank_members",
    "search",
    "settings_of",
    "soft_nms",
    "soft_vote",
    "stack_probabilities",
    "vote_agreement",
    "weighted_boxes_fusion",
    "weighted_by_model",
    "weights_of",
]
