"""The geometric mean: one sure member outweighs several unsure ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from recycling.ensembling.classes.probabilities import (
    aligned_probabilities,
    log_probabilities,
    probability_table,
    scaled_rows,
)
from recycling.ensembling.members import member_names, member_weights
from recycling.ensembling.methods import Calibrate, ClassFusion, MemberWeights, class_method
from recycling.predictions import ClassProbabilities


class GeometricMeanSettings(ClassFusion):
    """The weighted geometric mean of the members' probabilities, scaled so that rows sum to 1.

    Attributes:
        weights: How much each member counts.
        calibrate: How the members' scores are made comparable before they are fused.
    """

    method: Literal["geometric"] = "geometric"
    weights: MemberWeights = "equal"
    calibrate: Calibrate = "none"


@class_method("geometric", GeometricMeanSettings)
def geometric_mean_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    weights: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> ClassProbabilities:
    """The weighted geometric mean of the members' probabilities, scaled so that rows sum to 1.

    The mean of their log-probabilities, which is the mean of their logits. Probabilities below
    `FLOOR` count as that.

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
        >>> fused = geometric_mean_probabilities([one_crop(0.9, 0.1), one_crop(0.5, 0.5)])
        >>> fused[["paper", "metal"]].astype(float).round(2).to_numpy().tolist()
        [[0.75, 0.25]]
    """
    called = member_names(names, len(members))
    counting = member_weights(weights, called)
    annotation_ids, classes, probabilities = aligned_probabilities(members, called)
    logs = log_probabilities(probabilities)
    mean = np.exp(np.average(logs, axis=0, weights=counting))
    return probability_table(annotation_ids, classes, scaled_rows(mean))
