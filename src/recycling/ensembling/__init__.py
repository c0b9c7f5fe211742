"""Fusing the predictions of several models: boxes, masks, labels; and how alike they are.

Tables and arrays in, tables and arrays out. The loops are compiled by numba when first used and
cached on disk; importing this package imports none of it.
"""

from recycling.ensembling.boxes import Confidence, nms, weighted_boxes_fusion
from recycling.ensembling.diversity import (
    AGREEMENT,
    Agreement,
    detection_agreement,
    label_map_agreement,
    probability_agreement,
)
from recycling.ensembling.labels import average_probabilities
from recycling.ensembling.masks import fuse_label_maps, hard_vote, vote_agreement
from recycling.ensembling.members import EnsemblingError
from recycling.ensembling.ranking import RANKING, Ranking, rank_members
from recycling.ensembling.warm_up import compile_kernels

__all__ = [
    "AGREEMENT",
    "RANKING",
    "Agreement",
    "Confidence",
    "EnsemblingError",
    "Ranking",
    "average_probabilities",
    "compile_kernels",
    "detection_agreement",
    "fuse_label_maps",
    "hard_vote",
    "label_map_agreement",
    "nms",
    "probability_agreement",
    "rank_members",
    "vote_agreement",
    "weighted_boxes_fusion",
]
