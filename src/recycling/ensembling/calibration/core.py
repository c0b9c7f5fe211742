"""What a calibration is: from scores and whether they were right to a curve for each class."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recycling.registry import Registry, Settings

Floats: TypeAlias = NDArray[np.float64]

Curve: TypeAlias = Callable[[Floats], Floats]
"""From scores to probabilities, both (n,) from 0 to 1."""

Fit: TypeAlias = Callable[[Floats, Floats, Floats], Curve]
"""From scores, whether each was right (0 or 1) and how much each counts, all (n,), to a curve."""

Calibrator: TypeAlias = Callable[[Any], Any]
"""From a member's predictions to the same with calibrated scores."""

NONE = "none"
"""The calibration that leaves scores as they are."""

MIN_EXAMPLES = 20
"""How many right and how many wrong ones a class needs for a curve of its own; one with fewer has
that of all classes together."""

CALIBRATIONS: Registry[Fit] = Registry("calibration")


def calibration(name: str) -> Callable[[Fit], Fit]:
    """A decorator that makes a function a calibration.

    Args:
        name: What a user calls it.
    """
    return CALIBRATIONS.register(name, Settings)


@calibration(NONE)
def none(score: Floats, right: Floats, weight: Floats) -> Curve:
    """Leave scores as they are."""
    return lambda score: score


@dataclass(frozen=True)
class Evidence:
    """What a member said of one class, and whether it was so.

    Attributes:
        score: (n,), from 0 to 1.
        right: (n,), 1 where it was so, 0 where not.
        weight: (n,), how much each counts.
    """

    score: Floats
    right: Floats
    weight: Floats


@dataclass(frozen=True)
class Curves:
    """A curve for each class, and one of all classes together for those with too few examples.

    Attributes:
        of_class: By class.
        of_all: The other.
    """

    of_class: Mapping[Hashable, Curve]
    of_all: Curve

    def __getitem__(self, key: Hashable) -> Curve:
        return self.of_class.get(key, self.of_all)


def fit_curves(method: str, evidence: Mapping[Hashable, Evidence]) -> Curves:
    """Learn a curve for each class.

    Args:
        method: The name of a calibration.
        evidence: By class.

    Returns:
        The curves; scores are left as they are where nothing at all says how right they are.

    Raises:
        RegistryError: No calibration is called so.

    Example:
        >>> import numpy as np
        >>> score, right = np.repeat([0.2, 0.8], 40), np.tile([0.0, 1.0, 1.0, 1.0], 20)
        >>> can = Evidence(score, right, np.ones(80))
        >>> fit_curves("isotonic", {"can": can})["can"](np.array([0.2, 0.8])).round(2).tolist()
        [0.75, 0.75]
    """
    fit = CALIBRATIONS[method].thing
    of_class = {
        key: fit(own.score, own.right, own.weight)
        for key, own in evidence.items()
        if _examples(own) >= MIN_EXAMPLES
    }
    together = [
        np.concatenate([getattr(own, name) for own in evidence.values()] or [np.empty(0)])
        for name in ("score", "right", "weight")
    ]
    pooled = Evidence(*together)
    return Curves(
        of_class, fit(*together) if _examples(pooled) > 0 else CALIBRATIONS[NONE].thing(*together)
    )


def _examples(evidence: Evidence) -> float:
    """How many there are of the rarer of right and wrong ones."""
    counted = evidence.weight > 0
    n_right = float((evidence.weight * evidence.right)[counted].sum())
    return min(n_right, float(evidence.weight.sum()) - n_right)
