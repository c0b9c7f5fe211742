"""The mean of ranks: members' scales are forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from recycling.ensembling.classes.probabilities import (
    aligned_probabilities,
    probability_table,
    scaled_rows,
)
from recycling.ensembling.members import member_names, member_weights
from recycling.ensembling.methods import ClassFusion, MemberWeights, class_method
from recycling.predictions import ClassProbabilities


class RankAverageSettings(ClassFusion):
    """The weighted mean of each crop's rank among all crops, class by class.

    Attributes:
        weights: How much each member counts.
    """

    method: Literal["rank"] = "rank"
    weights: MemberWeights = "equal"


@class_method("rank", RankAverageSettings, depends_on_others=True)
def rank_average_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    weights: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> ClassProbabilities:
    """Average the ranks of each crop among all, class by class: members' scales are forgotten.

    Within a class a crop's rank is the weighted mean of its ranks with the members (equal
    probabilities share the mean of their ranks). Its probability is what the members, on average,
    give to the crop of that rank; rows are then scaled to sum to 1. So a member that is always
    sure and one that never is count the same, and one member alone is left as it was.

    Ranks depend on the other crops: fuse all crops of a test set at once.

    Args:
        members: As for `average_probabilities`.
        weights: As for `average_probabilities`.
        names: As for `average_probabilities`.

    Returns:
        float32, in the first member's order of rows and columns.

    Raises:
        EnsemblingError: As for `average_probabilities`.
        TableError: A member is not a table of class probabilities.

    Example:
        >>> import pandas as pd
        >>> def one_crop(paper, metal):
        ...     return pd.DataFrame({"annotation_id": [7], "paper": [paper], "metal": [metal]})
        >>> fused = rank_average_probabilities([one_crop(0.9, 0.1), one_crop(0.5, 0.5)])
        >>> fused[["paper", "metal"]].astype(float).round(2).to_numpy().tolist()
        [[0.7, 0.3]]
    """
    called = member_names(names, len(members))
    counting = member_weights(weights, called)
    annotation_ids, classes, probabilities = aligned_probabilities(members, called)
    if len(annotation_ids) == 0:
        return probability_table(annotation_ids, classes, probabilities[0])
    ranked = [pd.DataFrame(own).rank(method="average").to_numpy() for own in probabilities]
    ranks = np.average(ranked, axis=0, weights=counting)
    by_rank = np.average(
        np.sort(probabilities.astype(np.float64), axis=1), axis=0, weights=counting
    )
    steps = np.arange(1, len(annotation_ids) + 1)
    values = [np.interp(ranks[:, c], steps, by_rank[:, c]) for c in range(len(classes))]
    return probability_table(annotation_ids, classes, scaled_rows(np.stack(values, axis=1)))
