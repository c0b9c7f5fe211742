"""What a calibration is: from scores and whether they were right to a curve for each class."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
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
    return _as_it_is


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


class Curves:
    """A curve for each class, and one of all classes together for those with too few examples.

    Args:
        method: The name of a calibration.
        evidence: By class.

    Raises:
        RegistryError: No calibration is called so.

    Example:
        >>> score, right = np.repeat([0.2, 0.8], 40), np.tile([0.0, 1.0, 1.0, 1.0], 20)
        >>> curves = Curves("isotonic", {"can": Evidence(score, right, np.ones(80))})
        >>> curves["can"](np.array([0.2, 0.8])).round(2).tolist()
        [0.75, 0.75]
        >>> curves["bag"](np.array([0.2, 0.8])).round(2).tolist()
        [0.75, 0.75]
    """

    def __init__(self, method: str, evidence: Mapping[Any, Evidence]) -> None:
        self.fit, self.evidence = CALIBRATIONS[method].thing, evidence
        self.of_class: dict[Hashable, Curve] = {}

    def __getitem__(self, key: Hashable) -> Curve:
        """The curve of a class, learnt when it is first asked for."""
        if key not in self.of_class:
            own = self.evidence.get(key)
            if own is not None and _n_examples(own) >= MIN_EXAMPLES:
                self.of_class[key] = self._fitted(own)
            else:
                self.of_class[key] = self.of_all
        return self.of_class[key]

    @cached_property
    def of_all(self) -> Curve:
        """That of all classes; scores are left as they are where nothing says what is right."""
        every = list(self.evidence.values())
        if not every:
            return _as_it_is
        pooled = Evidence(
            np.concatenate([own.score for own in every]),
            np.concatenate([own.right for own in every]),
            np.concatenate([own.weight for own in every]),
        )
        return self._fitted(pooled) if _n_examples(pooled) > 0 else _as_it_is

    def _fitted(self, evidence: Evidence) -> Curve:
        return self.fit(evidence.score, evidence.right, evidence.weight)


def _as_it_is(score: Floats) -> Floats:
    return score


def _n_examples(evidence: Evidence) -> float:
    """How many there are of the rarer of right and wrong ones."""
    n_right = float((evidence.weight * evidence.right).sum())
    return min(n_right, float(evidence.weight.sum()) - n_right)
