"""Isotonic calibration: the higher the score, the likelier, and nothing else is supposed."""

from __future__ import annotations

import numpy as np

from recycling.ensembling.calibration.core import Curve, Floats, calibration

RISE = 0.001
"""How far the curve rises before the middle of its first step, as a share of what is possible; and
how far from 0 and 1 that leaves room to rise its steps are."""


@calibration("isotonic")
def isotonic(score: Floats, right: Floats, weight: Floats) -> Curve:
    """Fit the rising curve that is closest to what was right (Zadrozny and Elkan, 2002).

    Isotonic regression gives steps. As average precision looks at the order of scores, the curve
    goes straight from the middle of a step to the middle of the next (centred isotonic regression,
    Oron and Flournoy, 2017); before the first and after the last it rises just enough to keep the
    order.

    Args:
        score: (n,), from 0 to 1.
        right: (n,), 1 where it was right, 0 where not.
        weight: (n,), how much each counts.

    Returns:
        The curve.

    Example:
        >>> score = np.array([0.1, 0.2, 0.3, 0.4])
        >>> curve = isotonic(score, np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4))
        >>> curve(np.array([0.1, 0.25, 0.4])).round(2).tolist()
        [0.0, 0.5, 1.0]
    """
    from sklearn.isotonic import IsotonicRegression

    step = IsotonicRegression().fit(score, right, weight).predict(score)
    _, of_step = np.unique(step, return_inverse=True)
    total = np.bincount(of_step, weight)
    centre = np.bincount(of_step, weight * score) / total
    height = np.clip(np.bincount(of_step, weight * step) / total, RISE, 1 - RISE)
    if centre[0] > 0:
        first = height[0] * (1 - RISE)
        centre, height = np.append(0.0, centre), np.append(first, height)
    if centre[-1] < 1:
        last = height[-1] + (1 - height[-1]) * RISE
        centre, height = np.append(centre, 1.0), np.append(height, last)
    return lambda score: np.interp(score, centre, height)
