"""What an evaluation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any


class EvaluationError(ValueError):
    """Predictions and truth do not fit together: one line, what is wrong, what to do."""


@dataclass(frozen=True)
class Metrics:
    """How good some predictions are.

    Attributes:
        metric: The name of the metric that the task is judged by.
        score: Its value, 0 to 1; NaN where there is no truth to compare with.
        per_class: Its value for each category that it is defined for, by name.
        details: Other figures, by name; one that is not defined on the data is left out.
        interval: Between which values the score on all such images lies, with a confidence of 95 %;
            None where that was not looked at.
    """

    metric: str
    score: float
    per_class: dict[str, float]
    details: dict[str, float]
    interval: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold; a score that is not known is None."""
        return asdict(self) | {"score": None if isnan(self.score) else self.score}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Metrics:
        """From what `to_dict` gave.

        Raises:
            EvaluationError: A key is missing or unknown.
        """
        expected = ("metric", "score", "per_class", "details")
        if set(content) - {"interval"} != set(expected):
            raise EvaluationError(
                f"metrics with the keys {', '.join(sorted(map(str, content)))}; "
                f"there should be {', '.join(expected)}"
            )
        return cls(
            metric=str(content["metric"]),
            score=nan if content["score"] is None else float(content["score"]),
            per_class={str(name): float(value) for name, value in content["per_class"].items()},
            details={str(name): float(value) for name, value in content["details"].items()},
            interval=None if (ends := content.get("interval")) is None else (ends[0], ends[1]),
        )
