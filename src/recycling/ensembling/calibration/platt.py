"""Platt's calibration: a logistic curve, which few examples are enough for."""

from __future__ import annotations

import warnings

import numpy as np

from recycling.ensembling.calibration.core import Curve, Floats, calibration

FLOOR = 1e-6
"""Scores this close to 0 or 1 count as no closer: their log-odds would be endless."""


@calibration("platt")
def platt(score: Floats, right: Floats, weight: Floats) -> Curve:
    """Fit a logistic curve to the log-odds of the scores (Platt, 1999).

    Args:
        score: (n,), from 0 to 1.
        right: (n,), 1 where it was right, 0 where not; some of both.
        weight: (n,), how much each counts.

    Returns:
        The curve. It falls where higher scores are less often right.

    Example:
        >>> score, right = np.repeat([0.1, 0.9], 100), np.repeat([0, 1, 0, 1], [75, 25, 25, 75])
        >>> platt(score, right, np.ones(200))(np.array([0.1, 0.9])).round(2).tolist()
        [0.25, 0.75]
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # scikit-learn's own penalty keeps the curve finite where scores tell right from wrong wholly.
    # The quickest solver for many examples of one number. Where they are all alike it says that it
    # falls back on the usual one, which is of no use to a reader.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(solver="newton-cholesky").fit(_log_odds(score), right, weight)

    def curve(score: Floats) -> Floats:
        return np.asarray(model.predict_proba(_log_odds(score))[:, 1], dtype=np.float64)

    return curve


def _log_odds(score: Floats) -> Floats:
    inside = np.clip(score, FLOOR, 1 - FLOOR)
    return np.log(inside / (1 - inside))[:, None]
