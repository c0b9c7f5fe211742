"""The score of predictions with its interval: of all, and of each class and size."""

from __future__ import annotations

from typing import Any

import pandas as pd

from recycling.annotations import Annotations
from recycling.evaluation import (
    draw_groups,
    image_scores,
    score_interval,
    score_of_all,
    scored_groups,
)
from recycling.experiments.comparison import scored_parts
from recycling.registry import PickedSettings


def scores_with_intervals(
    settings: PickedSettings, truth: Annotations, predictions: Any
) -> pd.DataFrame:
    """Score predictions; images that belong together are drawn together.

    Args:
        settings: The metric.
        truth: The images that were predicted on, and what is on them.
        predictions: What was predicted.

    Returns:
        `of` (all, a class, a size of boxes), `score`, and its interval of 95 % over images, `low`
        and `high`; NaN where all draws of images score alike, as of a class on one image: they say
        nothing of other images.
    """
    members = {"": predictions}
    whole = image_scores(settings, truth, members)
    groups = scored_groups(settings, truth)
    draws = draw_groups(groups)
    rows = []
    for _, part, scored in scored_parts(settings, truth, members, whole):
        low, high = score_interval(scored[""], draws, groups)
        rows.append({"of": part, "score": score_of_all(scored[""]), "low": low, "high": high})
    return pd.DataFrame(rows)
