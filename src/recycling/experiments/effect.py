"""What one change did, beyond what other images or seeds would have done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.evaluation import ImageScores, draw_groups, groups_with_truth

Of = Literal["trainings", "predictions"]

CHANCE = "cannot be told from chance"
LEVEL = 0.05
"""From which p-value down a difference is called real."""


class Effect(TypedDict):
    """The difference between two that are alike in all but one thing.

    Attributes:
        what: What differs, and of which model.
        metric: What both are scored by.
        difference: The mean over the seeds of the score with, less that without.
        low: The lower end of the interval.
        high: The upper end.
        p: How likely so large a difference is where there is none; None where no verdict is given.
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
    p: float | None
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
    of: Of = "trainings",
    n_draws: int = 1000,
) -> Effect:
    """Compare trainings with their twins, pair by pair, on the same images.

    Groups of images are drawn with replacement, and the metric is taken anew of all that was drawn,
    with and without. To the variance of that difference, averaged over the seeds, that of its mean
    between seeds is added, less what both hold: what a seed does on single images. The interval is
    Student's, with the degrees of freedom that Satterthwaite (1946) gives a sum of two variances:
    of images one fewer than groups, of seeds one fewer than seeds. Of a rare class, only groups
    that hold it count. Where all of them answer alike, or there is one, nothing is known of chance,
    and the interval has no ends. One training a side says nothing of what another seed would have
    given, so there is an interval and no verdict.

    Args:
        what: What differs, and of which model.
        metric: What both are scored by.
        treated: What each training's score is made of, a seed after the other.
        controls: The same of its twin.
        groups: The group of each image, in the order of the scores.
        of: `predictions` for what is compared as it is, such as two submissions: then images are
            all that chance draws, and one pair is enough for a verdict.
        n_draws: How often groups are drawn.

    Example:
        >>> from recycling.evaluation import ClassCounts
        >>> def scores(hits):
        ...     true = np.ones((4, 1), dtype=int)
        ...     return ClassCounts(lambda h, t, _: (h / t)[:, 0], np.array(hits), true, true)
        >>> groups = pd.Series(["a", "b", "c", "d"])
        >>> better, worse = scores([[1], [1], [1], [1]]), scores([[0], [0], [0], [1]])
        >>> measure_effect("x", "accuracy", [better], [worse], groups)["sentence"]
        'x: +0.750 accuracy [-0.018, 1.518], 1 seed: of these images only, which is no verdict'
    """
    return measure_contrast(
        what, metric, [(1, treated), (-1, controls)], groups,
        of=of, n_draws=n_draws,
    )  # fmt: skip


def measure_contrast(
    what: str,
    metric: str,
    terms: Sequence[tuple[int, Sequence[ImageScores]]],
    groups: pd.Series,
    *,
    of: Of = "trainings",
    n_draws: int = 1000,
) -> Effect:
    """A sum of scores with signs, such as the interaction of two changes, as `measure_effect`.

    Args:
        what: What is measured.
        metric: What all are scored by.
        terms: The sign of each, and what the score of each seed is made of. For an interaction:
            with both changes and with neither 1, with one of them -1.
        groups: The group of each image.
        of: As for `measure_effect`.
        n_draws: How often groups are drawn.
    """
    once = np.ones((1, len(groups)), dtype=np.int64)
    differences = drawn_contrast(terms, once)[:, 0]
    drawn = drawn_contrast(terms, draw_groups(groups, n_draws=n_draws))
    mean, n_seeds, n_groups = float(differences.mean()), len(differences), groups.nunique()
    n_scored = groups_with_truth(terms[0][1][0], groups)
    # Draws from as many groups as there are vary by too little, as a variance over n does.
    few = n_scored / max(n_scored - 1, 1)
    of_images = float(np.nanvar(drawn.mean(axis=0), ddof=1)) * few
    if n_scored < 2 and mean != 0:
        of_images = np.inf
    of_seeds = of_both = 0.0
    if n_seeds > 1:
        of_seeds = float(differences.var(ddof=1)) / n_seeds
    if n_seeds > 2:  # two seeds tell too little of their variance to take anything off
        own = drawn - drawn.mean(axis=0)
        of_both = float(np.nanvar(own, axis=1, ddof=1).mean()) * few / (n_seeds - 1)
    variances = [(of_images, n_scored - 1), (max(of_seeds - of_both, 0.0), n_seeds - 1)]
    low, high, p = student(mean, variances, 1 - LEVEL)
    seeds = "" if of == "predictions" else f", {n_seeds} seed{'s' if n_seeds > 1 else ''}"
    if of == "trainings" and n_seeds == 1:
        verdict, known_p = "of these images only, which is no verdict", None
    elif low == high == 0:  # nothing is tested, so nothing is corrected for
        verdict, known_p = "the same", None
    else:
        verdict, known_p = in_words(low, high), p
    sentence = f"{what}: {mean:+.3f} {metric} [{low:.3f}, {high:.3f}]{seeds}: {verdict}"
    return Effect(
        what=what, metric=metric, difference=mean, low=low, high=high, p=known_p, seeds=n_seeds,
        images=len(groups), groups=n_groups, sentence=sentence,
    )  # fmt: skip


def drawn_contrast(
    terms: Sequence[tuple[int, Sequence[ImageScores]]], draws: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The sum of scores with their signs, for each seed on each draw of images.

    Args:
        terms: As for `measure_contrast`.
        draws: (draws, images), how often each image was drawn.

    Returns:
        (seeds, draws), NaN where a draw has nothing to score.
    """
    return np.asarray(
        sum(sign * np.array([own.scores(draws) for own in seeds]) for sign, seeds in terms)
    )


def student(
    difference: float, variances: Sequence[tuple[float, int]], confidence: float
) -> tuple[float, float, float]:
    """Interval and p-value of a difference whose variance is a sum.

    Args:
        difference: As it was measured.
        variances: Each part of its variance, with the degrees of freedom that it is known by.
        confidence: Of the interval.

    Returns:
        The lower and the upper end, and the p-value (two-sided).

    Example:
        >>> low, high, p = student(2.0, [(1.0, 10), (0.0, 2)], 0.95)
        >>> round(low, 3), round(high, 3), round(p, 3)
        (-0.228, 4.228, 0.073)
    """
    from scipy.special import stdtr, stdtrit

    total = sum(variance for variance, _ in variances)
    if total == difference == 0:
        return difference, difference, 1.0
    if total in (0, np.inf):  # not that chance does nothing: nothing is known of it
        return -np.inf, np.inf, 1.0
    known_by = sum(variance**2 / max(freedom, 1) for variance, freedom in variances)
    freedom, error = total**2 / known_by, total**0.5
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    return difference - reach, difference + reach, p


def in_words(low: float, high: float) -> str:
    """What an interval of a difference says.

    >>> in_words(0.1, 0.2), in_words(-0.1, 0.2)
    ('better', 'cannot be told from chance')
    """
    return "better" if low > 0 else "worse" if high < 0 else CHANCE


def corrected_sentences(effects: Sequence[Effect], what: str = "comparisons") -> list[str]:
    """The sentence of each effect, its verdict corrected by Holm for how many there are.

    Args:
        effects: One family: all that could have been claimed.
        what: What they are called.

    Example:
        >>> effect = {"sentence": "x: +0.1 F1 [0.01, 0.2]: better", "p": 0.03}
        >>> corrected_sentences([effect, {**effect, "p": None}])
        ['x: +0.1 F1 [0.01, 0.2]: better', 'x: +0.1 F1 [0.01, 0.2]: better']
        >>> corrected_sentences([effect, effect])[0]
        'x: +0.1 F1 [0.01, 0.2]: cannot be told from chance (corrected for 2 comparisons)'
    """
    known = [effect["p"] for effect in effects if effect["p"] is not None]
    if len(known) < 2:
        return [effect["sentence"] for effect in effects]
    corrected, sentences = iter(holm(known)), []
    for effect in effects:
        sentence = effect["sentence"]
        if effect["p"] is not None:
            start, verdict = sentence.rsplit(": ", 1)
            told = verdict if next(corrected) <= LEVEL else CHANCE
            sentence = f"{start}: {told} (corrected for {len(known)} {what})"
        sentences.append(sentence)
    return sentences


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several comparisons, corrected so that one false claim among them is as rare.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(order), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(order) - rank)))
        corrected[index] = highest
    return corrected
