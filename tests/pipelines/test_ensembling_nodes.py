"""The nodes that fuse the members of an ensemble."""

from __future__ import annotations

import pandas as pd
import pytest

from recycling.ensembling import rank_members
from recycling.pipelines.ensembling import LabelFusion, fuse_classes


def probabilities(paper):
    frame = pd.DataFrame({"annotation_id": [1], "Paper": [paper], "Metal": [1 - paper]})
    return frame.astype({"Paper": "float32", "Metal": "float32"})


@pytest.mark.parametrize(
    ("weights", "scores", "expected"),
    [
        ("equal", {"a": 0.9, "b": 0.3}, 0.5),
        ("score", {"a": 0.9, "b": 0.3}, 0.75),
        ("score", {"a": 0.0, "b": 0.0}, 0.5),
    ],
)
def test_members_count_by_their_score_and_the_same_where_all_scored_nothing(
    weights, scores, expected
):
    members = {"a": probabilities(1.0), "b": probabilities(0.0)}
    fused = fuse_classes(LabelFusion(weights=weights), rank_members(scores), **members)
    assert fused["Paper"].tolist() == pytest.approx([expected])
