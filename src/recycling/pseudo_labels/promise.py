"""Thresholds with a promise: of what is kept from them on, at least so much is right.

Learn then Test (https://arxiv.org/abs/2110.01052): each threshold of a grid, which was fixed
without the truth, is a hypothesis that too much of what it keeps is wrong; it is tested on images
that the teacher has not seen. The p-values are those of a bet on bounded means
(https://arxiv.org/abs/2010.09686): whoever bets against a true hypothesis multiplies the stake by
1 / error with a chance of at most `error`, however small the sample is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recycling.registry import Settings

GRID: NDArray[np.float64] = np.round(np.arange(0.98, 0, -0.02), 2)
"""The thresholds that are tried, the surest first; fixed, so that the truth has no say in them."""

_LARGEST_BET = 0.99  # of the stake: a bet of all of it ends with the first one that is lost
_MARGIN = 1.5  # with just enough units the first that is wrong would end it all


class Promise(Settings):
    """What is promised of the pseudo-labels of a category."""

    precision: float = Field(default=0.9, gt=0, lt=1, description="share of the kept that is right")
    confidence: float = Field(
        default=0.9, gt=0, lt=1, description="chance that it is kept, over draws of labelled images"
    )
    together: bool = Field(
        default=False, description="whether `confidence` is that all categories keep it at once"
    )
    starts: int = Field(
        default=1, ge=1, description="from how many thresholds the search for the lowest begins"
    )


@dataclass(frozen=True)
class Graded:
    """What would be kept at each threshold of `GRID`, and how much of it is wrong.

    A unit is an image, or a group of images, of which this is the mean: images of one group are
    alike, and count as one.

    Attributes:
        kept: (units, categories, thresholds), 0 to `cap`.
        wrong: (units, categories, thresholds), 0 to `kept`.
        cap: Most that is kept of a category on an image.
    """

    kept: NDArray[np.float64]
    wrong: NDArray[np.float64]
    cap: float


def promised_thresholds(graded: Graded, promise: Promise) -> NDArray[np.float64]:
    """The lowest threshold of each category at which the promise holds.

    The thresholds are tested one after the other, down from the first one at which enough units
    keep something, until one fails: so all that passed hold at once. With several starts the
    allowed error is divided among them (Bonferroni).

    Args:
        graded: What would be kept, on images that the teacher has not seen.
        promise: What is promised.

    Returns:
        (categories,), of `GRID`; NaN where nothing can be promised.

    Example:
        >>> kept = np.zeros((30, 1, len(GRID)))
        >>> kept[:, :, GRID <= 0.6] = 1  # each image holds one box of score 0.6, all are right
        >>> graded = Graded(kept, np.zeros_like(kept), cap=1)
        >>> promised_thresholds(graded, Promise(precision=0.9)).tolist()
        [0.02]
    """
    allowed, needed = 1 - promise.precision, _needed(graded, promise)
    losses = graded.wrong - allowed * graded.kept
    evidence, flawless = log_evidence(losses, allowed, graded.cap), _flawless(graded, promise)
    found = np.full(graded.kept.shape[1], np.nan)
    for category in np.flatnonzero(has_enough(graded, promise)).tolist():
        most = flawless[category].max()
        enough = np.flatnonzero(flawless[category] >= min(_MARGIN * needed, most))
        begin = np.linspace(enough[0], len(GRID), promise.starts + 1)[:-1].astype(int)
        # Also as it looks, it must be no more than allowed: what was won may be lost again.
        passed = (evidence[category] >= needed) & (losses[:, category].mean(axis=0) <= 0)
        ends = np.array([start + _leading(passed[start:]) for start in begin])
        if len(ends := ends[ends > begin]):
            found[category] = GRID[ends.max() - 1]
    return found


def has_enough(graded: Graded, promise: Promise) -> NDArray[np.bool_]:
    """Whether a category is kept on so many images that something could be promised of it.

    Args:
        graded: What would be kept; that it is right or wrong has no say.
        promise: What is promised.

    Returns:
        (categories,).
    """
    enough: NDArray[np.bool_] = _flawless(graded, promise).max(axis=1) >= _needed(graded, promise)
    return enough


def _needed(graded: Graded, promise: Promise) -> float:
    """The evidence from which on a threshold passes."""
    tests = promise.starts * (graded.kept.shape[1] if promise.together else 1)
    return float(np.log(tests / (1 - promise.confidence)))


def _flawless(graded: Graded, promise: Promise) -> NDArray[np.float64]:
    """The evidence, (categories, thresholds), that there would be if all were right."""
    allowed = 1 - promise.precision
    return log_evidence(-allowed * graded.kept, allowed, graded.cap)


def log_evidence(losses: NDArray[np.float64], allowed: float, cap: float) -> NDArray[np.float64]:
    """The evidence that losses are at most 0 on average: the log of what a bet on it has won.

    The bet before each unit is made of what the units before it have shown (aGRAPA of the source);
    the most that was won at any time counts (Ville's inequality). The order of the units is drawn,
    as that of a table may say something of their losses: easy folders first, say.

    Args:
        losses: (units, ...), wrong less `allowed` times kept.
        allowed: The share of the kept that may be wrong.
        cap: Most that a unit keeps; losses are from ``-allowed * cap`` to ``(1 - allowed) * cap``.

    Returns:
        (...), 0 or more; at least ``log(1 / p)`` with a chance of at most p where the mean of the
        losses is above 0.
    """
    worst = (1 - allowed) * cap
    # As after one unit of a moderate gain and of the variance of a coin between the two bounds.
    mean = np.full(losses.shape[1:], -allowed * cap / 2)
    variance = np.full(losses.shape[1:], allowed * (1 - allowed) * cap**2 / 4)
    total, total_square = mean, variance + mean**2
    won = best = np.zeros_like(mean)
    order = np.random.default_rng(0).permutation(len(losses))
    for n_seen, loss in enumerate((losses[unit] for unit in order), start=2):
        bet = np.clip(-mean / np.maximum(variance + mean**2, 1e-12), 0, _LARGEST_BET / worst)
        won = won + np.log1p(-bet * loss)
        best = np.maximum(best, won)
        total, total_square = total + loss, total_square + loss**2
        mean = total / n_seen
        variance = total_square / n_seen - mean**2
    return best


def _leading(passed: NDArray[np.bool_]) -> int:
    """How many pass before the first that fails."""
    return len(passed) if passed.all() else int(np.argmin(passed))
