"""The mean of the members' probabilities: hard to beat where members speak on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from recycling.ensembling.classes.probabilities import aligned_probabilities, probability_table
from recycling.ensembling.members import member_names, member_weights
from recycling.ensembling.methods import Calibrate, ClassFusion, MemberWeights, class_method
from recycling.predictions import ClassProbabilities


class MeanSettings(ClassFusion):
    """The weighted mean of the members' probabilities.

    Attributes:
        weights: How much each member counts.
        calibrate: How the members' scores are made comparable before they are fused.
    """

    method: Literal["mean"] = "mean"
    weights: MemberWeights = "equal"
    calibrate: Calibrate = "none"


@class_method("mean", MeanSettings)
def average_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    weights: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> ClassProbabilities:
    """The weighted mean of the members' probabilities.

    Args:
        members: One table a member, of the same crops (in any order) and the same classes.
        weights: How much each member counts; None where all count the same. Only their ratio
            matters.
        names: What to call the members in messages.

    Returns:
        The mean of each probability, float32, in the first member's order of rows and columns.

    Raises:
        EnsemblingError: Weights that do not fit, or a member with other crops or other classes;
            the message names the member and the first crop or class that differs.
        TableError: A member is not a table of class probabilities.

    Example:
        >>> import pandas as pd
        >>> def one_crop(paper, metal):
        ...     return pd.DataFrame({"annotation_id": [7], "paper": [paper], "metal": [metal]})
        >>> fused = average_probabilities([one_crop(0.9, 0.1), one_crop(0.5, 0.5)])
        >>> fused[["paper", "metal"]].astype(float).round(2).to_numpy().tolist()
        [[0.7, 0.3]]
    """
    called = member_names(names, len(members))
    counting = member_weights(weights, called)
    annotation_ids, classes, probabilities = aligned_probabilities(members, called)
    mean = np.average(probabilities.astype(np.float64), axis=0, weights=counting)
    return probability_table(annotation_ids, classes, mean)
