"""What one change of the training data did, beyond what other images or seeds would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import pandas as pd

from recycling.evaluation import ImageScores, draw_groups, score_of_all


class Effect(TypedDict):
    """The difference between trainings that are alike in all but one thing.

    Attributes:
        what: What differs, and of which model.
        metric: What both are scored by.
        difference: The mean over the seeds of the score with, less that without.
        low: The lower end of the interval.
        high: The upper end.
        seeds: How many pairs of trainings there are.
        images: How many images are scored.
        groups: How many groups they form, which is what is resampled.
        sentence: All of it in a sentence.
    """

    what: str
    metric: str
    difference: float
    low: float
    high: float
    seeds: int
    images: int
    groups: int
    sentence: str


def measure_effect(
    what: str,
    metric: str,
    treated: Sequence[ImageScores],
    controls: Sequence[ImageScores],
    groups: pd.Series,
    *,
    confidence: float = 0.95,
    n_draws: int = 1000,
) -> Effect:
    """Compare trainings with their twins, pair by pair, on the same images.

    Groups of images are drawn with replacement, and the metric is taken anew of all that was drawn,
    with and without; to the variance of that difference, averaged over the seeds, the variance of
    its mean between seeds is added, and the interval is Student's with one degree of freedom
    fewer than there are seeds. Of one seed it is the bootstrap's, and speaks of images only.

    Args:
        what: What differs, and of which model.
        metric: What both are scored by.
        treated: What each training's score is made of, a seed after the other.
        controls: The same of its twin.
        groups: The group of each image, in the order of the scores.
        confidence: Of the interval.
        n_draws: How often groups are drawn.

    Example:
        >>> from recycling.evaluation import ClassCounts
        >>> def scores(hits):
        ...     true = np.ones((4, 1), dtype=int)
        ...     return ClassCounts(lambda h, t, _: (h / t)[:, 0], np.array(hits), true, true)
        >>> groups = pd.Series(["a", "b", "c", "d"])
        >>> better, worse = scores([[1], [1], [1], [1]]), scores([[0], [0], [0], [0]])
        >>> measure_effect("x", "accuracy", [better], [worse], groups)["sentence"]
        'x: +1.000 accuracy [1.000, 1.000], 1 seed: of these images only, which is no verdict'
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    draws = draw_groups(groups, n_draws=n_draws)
    pairs = list(zip(treated, controls, strict=True))
    differences = np.array([score_of_all(own) - score_of_all(twin) for own, twin in pairs])
    drawn = np.mean([own.scores(draws) - twin.scores(draws) for own, twin in pairs], axis=0)
    mean, n_seeds = float(differences.mean()), len(pairs)
    if n_seeds == 1:
        tail = (1 - confidence) / 2
        low, high = (float(end) for end in np.nanquantile(drawn, [tail, 1 - tail]))
        verdict = "of these images only, which is no verdict"
    else:
        error = np.sqrt(np.nanvar(drawn, ddof=1) + differences.var(ddof=1) / n_seeds)
        reach = float(stdtrit(n_seeds - 1, (1 + confidence) / 2) * error)
        low, high = mean - reach, mean + reach
        verdict = "better" if low > 0 else "worse" if high < 0 else "cannot be told from chance"
    seeds = f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"
    sentence = f"{what}: {mean:+.3f} {metric} [{low:.3f}, {high:.3f}], {seeds}: {verdict}"
    return Effect(
        what=what, metric=metric, difference=mean, low=low, high=high, seeds=n_seeds,
        images=len(groups), groups=groups.nunique(), sentence=sentence,
    )  # fmt: skip
