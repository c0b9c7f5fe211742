"""Fusing the predictions of several models: boxes, masks, labels; and how alike they are.

Tables and arrays in, tables and arrays out. The loops are compiled by numba when first used and
cached on disk; importing this package imports none of it.
"""

from recycling.ensembling.boxes import Confidence, nms, weighted_boxes_fusion
from recycling.ensembling.candidates import ALONE, Candidate, Problem
from recycling.ensembling.changes import (
    CHANGES,
    Changes,
    detection_changes,
    label_map_changes,
    probability_changes,
)
from recycling.ensembling.contributions import (
    CONTRIBUTIONS,
    Contributions,
    leave_one_out,
    member_contributions,
)
from recycling.ensembling.diversity import (
    AGREEMENT,
    Agreement,
    alike_sentences,
    detection_agreement,
    label_map_agreement,
    probability_agreement,
)
from recycling.ensembling.labels import (
    average_probabilities,
    geometric_mean_probabilities,
    hard_vote_probabilities,
    rank_average_probabilities,
)
from recycling.ensembling.masks import fuse_label_maps, hard_vote, vote_agreement
from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.non_maximum_weighted import non_maximum_weighted
from recycling.ensembling.parts import parts_of
from recycling.ensembling.problems import class_problem, detection_problem, mask_problem
from recycling.ensembling.problems import fuse_boxes as fuse_chosen_boxes
from recycling.ensembling.problems import fuse_classes as fuse_chosen_classes
from recycling.ensembling.ranking import RANKING, Ranking, rank_members
from recycling.ensembling.search import ALL_FOLDS, HISTORY, Found, History, search
from recycling.ensembling.selection import (
    CHOICES,
    Choices,
    best_member,
    choice_sentence,
    greedy_selection,
)
from recycling.ensembling.soft_nms import soft_nms
from recycling.ensembling.soft_vote import (
    average_planes,
    average_probability_maps,
    fuse_probability_maps,
    soft_vote,
)
from recycling.ensembling.stacking import Stacked, stack_probabilities
from recycling.ensembling.warm_up import compile_kernels

__all__ = [
    "AGREEMENT",
    "ALL_FOLDS",
    "ALONE",
    "CHANGES",
    "CHOICES",
    "CONTRIBUTIONS",
    "HISTORY",
    "RANKING",
    "Agreement",
    "Candidate",
    "Changes",
    "Choices",
    "Confidence",
    "Contributions",
    "EnsemblingError",
    "Found",
    "History",
    "Problem",
    "Ranking",
    "Stacked",
    "alike_sentences",
    "average_planes",
    "average_probabilities",
    "average_probability_maps",
    "best_member",
    "choice_sentence",
    "class_problem",
    "compile_kernels",
    "detection_agreement",
    "detection_changes",
    "detection_problem",
    "fuse_chosen_boxes",
    "fuse_chosen_classes",
    "fuse_label_maps",
    "fuse_probability_maps",
    "geometric_mean_probabilities",
    "greedy_selection",
    "hard_vote",
    "hard_vote_probabilities",
    "label_map_agreement",
    "label_map_changes",
    "leave_one_out",
    "mask_problem",
    "member_contributions",
    "nms",
    "non_maximum_weighted",
    "parts_of",
    "probability_agreement",
    "probability_changes",
    "rank_average_probabilities",
    "rank_members",
    "search",
    "soft_nms",
    "soft_vote",
    "stack_probabilities",
    "vote_agreement",
    "weighted_boxes_fusion",
]
