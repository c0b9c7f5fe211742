"""The class that most members hold most likely: how sure a member was is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from recycling.ensembling.classes.probabilities import (
    aligned_probabilities,
    probability_table,
    says_nothing,
)
from recycling.ensembling.members import member_names
from recycling.ensembling.methods import Calibrate, ClassFusion, class_method
from recycling.ensembling.ties import best_first
from recycling.predictions import ClassProbabilities


class HardVoteSettings(ClassFusion):
    """The class that most members hold most likely; ties go to the better-ranked member.

    Attributes:
        calibrate: How the members' scores are made comparable before they are fused.
    """

    method: Literal["hard_vote"] = "hard_vote"
    calibrate: Calibrate = "none"


@class_method("hard_vote", HardVoteSettings, learns="ranks")
def hard_vote_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    ranks: Sequence[int],
    names: Sequence[str] | None = None,
) -> ClassProbabilities:
    """Let each member vote for its most likely class; ties go to the best-ranked of the tied.

    Args:
        members: As for `average_probabilities`. Of classes that a member holds equally likely, the
            first has its vote; of a crop whose classes it all holds equally likely, it has none.
        ranks: (members,), each member's rank, the smallest the best; no two the same.
        names: What to call the members in messages.

    Returns:
        Each class's share of the votes, float32, where the winner is given half a vote more, so
        that the table, too, says who won a tie; where nobody votes, all classes have the same
        share. In the first member's order of rows and columns.

    Raises:
        EnsemblingError: Ranks that do not fit, or a member with other crops or other classes.
        TableError: A member is not a table of class probabilities.

    Example:
        >>> import pandas as pd
        >>> def one_crop(paper, metal):
        ...     return pd.DataFrame({"annotation_id": [7], "paper": [paper], "metal": [metal]})
        >>> fused = hard_vote_probabilities([one_crop(0.9, 0.1), one_crop(0.4, 0.6)], ranks=[1, 0])
        >>> fused[["paper", "metal"]].astype(float).round(2).to_numpy().tolist()
        [[0.4, 0.6]]
    """
    called = member_names(names, len(members))
    order = best_first(ranks, called)
    annotation_ids, classes, probabilities = aligned_probabilities(members, called)
    choices, votes_here = probabilities.argmax(axis=2)[order], ~says_nothing(probabilities)[order]
    votes = ((choices[:, :, None] == np.arange(len(classes))) & votes_here[:, :, None]).sum(axis=0)
    rows = np.arange(len(annotation_ids))
    # argmax takes the first of equals, and members stand in the order of their ranks.
    support = np.where(votes_here, votes[rows, choices], 0)
    winner = choices[support.argmax(axis=0), rows]
    shares = votes.astype(np.float64)
    shares[rows, winner] += 0.5
    shares[~votes_here.any(axis=0)] = 1
    return probability_table(annotation_ids, classes, shares / shares.sum(axis=1, keepdims=True))
