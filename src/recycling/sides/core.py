"""What one side of a comparison is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recycling.annotations import Annotations
from recycling.backends.shared.model import Task
from recycling.experiments import Facts

OUT_OF_FOLD, TEST = "out_of_fold", "test"
Part = str


@dataclass(eq=False)
class Side:
    """One of several that are compared.

    Attributes:
        label: As it was asked for.
        task: What it predicts.
        name: Of the model or ensemble; of a file, its path.
        facts: What it was made of; None for a file that nobody knows of.
        truth: By part (`out_of_fold`, `test`), the images that it has predicted on.
        predictions: By part, one for each seed.
        is_training: Whether it is a model, which another seed would have made otherwise.
        test_folds: How many of its folds have predicted the test images, each by itself.
        folds: Of a model, those that its out-of-fold predictions are of.
        stale: By part, why its predictions are of other images, labels or folds than the truth.
    """

    label: str
    task: Task
    name: str
    facts: Facts | None = None
    truth: dict[Part, Annotations] = field(default_factory=dict)
    predictions: dict[Part, list[Any]] = field(default_factory=dict)
    is_training: bool = False
    test_folds: int = 0
    folds: frozenset[int] = frozenset()
    stale: dict[Part, str] = field(default_factory=dict)
