"""Whether models make the same errors: an ensemble gains from those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NewType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.annotations.masks import label_maps as true_label_maps
from recycling.annotations.masks import of_size
from recycling.evaluation.box_matches import BoxMatches
from recycling.evaluation.classes import matched_crops
from recycling.evaluation.faults import naming_member
from recycling.evaluation.masks import check_label_maps
from recycling.predictions import IGNORE, ClassProbabilities, LabelMaps
from recycling.tables import Column, Schema, register_table

ErrorCorrelation = NewType("ErrorCorrelation", pd.DataFrame)
"""One row a pair of members; schema `ERROR_CORRELATION`."""

ERROR_CORRELATION = Schema(
    "error correlation",
    (
        Column("member_a", "string", "one member of the ensemble"),
        Column("member_b", "string", "another one"),
        Column(
            "correlation",
            "float64",
            "of their errors: 1 if they err on the same, 0 if independently",
            minimum=-1,
            maximum=1,
        ),
    ),
)
register_table("error_correlation", ERROR_CORRELATION, ErrorCorrelation)


def crop_error_correlation(
    truth: Annotations, members: Mapping[str, ClassProbabilities]
) -> ErrorCorrelation:
    """How far two classifiers misclassify the same crops.

    Args:
        truth: The annotations whose crops were classified; crowd regions are left out.
        members: The class probabilities of each member, by its name.

    Returns:
        One row a pair of members; schema `ERROR_CORRELATION`. A pair has no row where one of them
        errs nowhere or everywhere: nothing goes along with what does not vary.

    Raises:
        EvaluationError: As `recycling.evaluation.macro_f1` does; the member is named.
    """
    wrong = []
    for name, probabilities in members.items():
        with naming_member(name):
            expected, scores = matched_crops(truth, probabilities)
        wrong.append(scores.argmax(axis=1) != expected)
    return _correlation(list(members), *_joint(wrong))


def pixel_error_correlation(
    truth: Annotations, members: Mapping[str, LabelMaps]
) -> ErrorCorrelation:
    """How far two segmentation models misclassify the same pixels.

    Beside those that `ImageMaps` keeps, one image's maps are in memory at a time. Pixels that a
    member leaves to others ("ignore") count for nobody.

    Args:
        truth: The images that were predicted on, and what is on them.
        members: The label maps of each member, by its name.

    Returns:
        As `crop_error_correlation` does.

    Raises:
        EvaluationError: An image has no label map; the member is named.
    """
    for name, label_maps in members.items():
        with naming_member(name):
            check_label_maps(truth, label_maps)
    both = np.zeros((len(members), len(members)))
    n_pixels = 0
    for image_id, expected in true_label_maps(truth).items():
        predicted = [of_size(maps[image_id], expected.shape) for maps in members.values()]
        seen = np.all([label_map != IGNORE for label_map in (expected, *predicted)], axis=0)
        joint, count = _joint([(label_map != expected)[seen] for label_map in predicted])
        both += joint
        n_pixels += count
    return _correlation(list(members), both, n_pixels)


def object_error_correlation(
    matches: Mapping[str, BoxMatches], *, score_threshold: float = 0.3
) -> ErrorCorrelation:
    """How far two detectors miss the same objects.

    Args:
        matches: The matches of each member, by its name, from `match_boxes`.
        score_threshold: An object is missed if no detection of this score or more found it. At 0
            the many weak boxes of a detector hide what it misses.

    Returns:
        As `crop_error_correlation` does.
    """
    missed = [found.found_score < max(score_threshold, 0.0) for found in matches.values()]
    return _correlation(list(matches), *_joint(missed))


def _joint(wrong: list[NDArray[np.bool_]]) -> tuple[NDArray[np.float64], int]:
    """How many errors two members share (members, members), and of how many things."""
    # Floats, for which numpy multiplies matrices fast; they hold counts below 2^53 exactly.
    errors = np.array(wrong, dtype=np.float64).reshape(len(wrong), -1)
    return errors @ errors.T, errors.shape[1]


def _correlation(names: list[str], both: NDArray[np.float64], n: int) -> ErrorCorrelation:
    """Pearson's correlation of what is 0 or 1 (phi), from counts."""
    single = np.diag(both)
    spread = np.sqrt(single * (n - single))
    rows = []
    for a, b in combinations(range(len(names)), 2):
        if spread[a] > 0 and spread[b] > 0:
            phi = (n * both[a, b] - single[a] * single[b]) / (spread[a] * spread[b])
            rows.append((names[a], names[b], float(np.clip(phi, -1, 1))))
    frame = pd.DataFrame(rows, columns=ERROR_CORRELATION.names)
    return ErrorCorrelation(ERROR_CORRELATION.conform(frame, where="error correlation"))
