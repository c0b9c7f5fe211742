"""How far a score may be off because other images could have been taken."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.evaluation.core import EvaluationError

CONFIDENCE = 0.95
"""How often an interval holds what was to be known, the score on all such images."""


class ImageScores(Protocol):
    """What a score is made of, image by image, so that it is quickly taken of any images."""

    @property
    def n_images(self) -> int:
        """How many images there are."""
        ...

    @property
    def has_truth(self) -> NDArray[np.bool_]:
        """(images,) whether an image holds anything of what is scored, such as a rare class."""
        ...

    def scores(self, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """The score of each draw.

        Args:
            draws: (draws, images), how often each image was drawn.

        Returns:
            (draws,), NaN where nothing that was drawn has a truth.
        """
        ...


def draw_images(n_images: int, *, n_draws: int = 200, random_state: int = 0) -> NDArray[np.int64]:
    """Draw as many images as there are, with replacement, again and again.

    Args:
        n_images: How many images there are.
        n_draws: How often to draw.
        random_state: Seed; the same draws for everything that is compared make it paired.

    Returns:
        (draws, images), how often each image was drawn; a row sums to `n_images`.

    Raises:
        EvaluationError: There is no image, or nothing is to be drawn.

    Example:
        >>> draw_images(4, n_draws=3).sum(axis=1).tolist()
        [4, 4, 4]
    """
    if n_images < 1 or n_draws < 1:
        raise EvaluationError(
            f"{n_draws} draws of {n_images} images; there must be one of each at least"
        )
    chances = np.full(n_images, 1 / n_images)
    draws = np.random.default_rng(random_state).multinomial(n_images, chances, size=n_draws)
    return np.asarray(draws, dtype=np.int64)


def draw_groups(
    groups: pd.Series[str], *, n_draws: int = 200, random_state: int = 0
) -> NDArray[np.int64]:
    """Draw as many groups of images as there are, with replacement, again and again.

    Images of a group are alike: drawn one by one they would make an interval too narrow.

    Args:
        groups: The group of each image.
        n_draws: How often to draw.
        random_state: As for `draw_images`.

    Returns:
        (draws, images), how often each image was drawn: as often as its group.

    Raises:
        EvaluationError: As for `draw_images`.

    Example:
        >>> draws = draw_groups(pd.Series(["a", "b", "a"]), n_draws=9)
        >>> bool((draws[:, 0] == draws[:, 2]).all())
        True
    """
    group, names = pd.factorize(groups)
    return draw_images(len(names), n_draws=n_draws, random_state=random_state)[:, group]


def score_of_all(image_scores: ImageScores) -> float:
    """The score of all images, each taken once.

    >>> from recycling.evaluation import ClassCounts
    >>> hits, true = np.array([[1], [0]]), np.array([[1], [1]])
    >>> score_of_all(ClassCounts(lambda hits, true, _: (hits / true)[:, 0], hits, true, hits))
    0.5
    """
    return float(image_scores.scores(np.ones((1, image_scores.n_images), dtype=np.int64))[0])


def groups_with_truth(image_scores: ImageScores, groups: pd.Series[str]) -> int:
    """How many groups hold anything of what is scored.

    Args:
        image_scores: Of any predictions: what there is to score is the truth's.
        groups: The group of each image.

    Example:
        >>> from recycling.evaluation import ClassCounts
        >>> true = np.array([[1], [1], [0], [1], [0]])
        >>> scores = ClassCounts(lambda hits, true, _: (hits / true)[:, 0], true, true, true)
        >>> groups_with_truth(scores, pd.Series(["a", "a", "b", "c", "d"]))
        2
    """
    return int(groups[image_scores.has_truth].nunique())


def score_interval(
    image_scores: ImageScores, draws: NDArray[np.int64], groups: pd.Series[str]
) -> tuple[float, float]:
    """Between which values the score on all such images lies, with a confidence of 95 %.

    It tells what other images would change, not what another training would.

    Args:
        image_scores: What the score is made of.
        draws: (draws, images), from `draw_groups`.
        groups: The group of each image. Only those that hold anything of what is scored count.

    Returns:
        The lower and the upper end, 0 to 1; see `interval_of_draws`.

    Example:
        >>> from recycling.evaluation import ClassCounts
        >>> hits, true = np.repeat([[1], [0]], [30, 10], axis=0), np.ones((40, 1), dtype=int)
        >>> scores = ClassCounts(lambda hits, true, _: (hits / true)[:, 0], hits, true, hits)
        >>> groups = pd.Series(range(40)).astype(str)
        >>> low, high = score_interval(scores, draw_groups(groups), groups)
        >>> round(low, 2), round(high, 2)
        (0.6, 0.9)
    """
    score = score_of_all(image_scores)
    n_groups = groups_with_truth(image_scores, groups)
    low, high = np.clip(interval_of_draws(score, image_scores.scores(draws), n_groups), 0, 1)
    return float(low), float(high)


def interval_of_draws(
    score: float, scores: NDArray[np.float64], n_groups: int
) -> tuple[float, float]:
    """Student's interval about a score, with the standard error that draws of images give it.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 12; the
    factor for few groups is that of Hesterberg, What Teachers Should Know About the Bootstrap
    (2015). Where classes are rare, percentiles of the draws hold the score too seldom: the mAP of a
    draw, in which images are repeated, is too high. Basic intervals (Davison and Hinkley, Bootstrap
    Methods and their Application (1997), chapter 5) hold that of macro F1 and mIoU too seldom.

    Args:
        score: Of all images, or a difference of two scores.
        scores: (draws,), the same of each draw, NaN where it has none.
        n_groups: How many groups of images hold anything of what is scored.

    Returns:
        The lower and the upper end; NaN where all draws score alike, as of one group of images, or
        of a class on one image: they say nothing of other images.

    Example:
        >>> draws = draw_images(10)
        >>> low, high = interval_of_draws(0.5, draws @ np.repeat([0, 0.1], 5), 10)
        >>> round(low, 2), round(high, 2)
        (0.15, 0.85)
        >>> interval_of_draws(0.5, np.array([0.5, 0.5, np.nan]), 10)
        (nan, nan)
    """
    from scipy.special import stdtrit

    known = scores[np.isfinite(scores)]
    if n_groups < 2 or len(np.unique(known)) < 2:
        return float("nan"), float("nan")
    # Draws from as many groups as there are vary by too little, as a variance over n does.
    error = float(known.std(ddof=1)) * (n_groups / (n_groups - 1)) ** 0.5
    reach = float(stdtrit(n_groups - 1, (1 + CONFIDENCE) / 2)) * error
    return score - reach, score + reach
