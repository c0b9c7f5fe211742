"""The scores of pseudo-labels on their way through mmdet's transforms.

Those select, join and drop boxes, labels and flags, and nothing else that a box may have. So the
score travels in the label: a label of ``class + classes * score`` in whole steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs

STEPS = 1_000_000
"""Steps of a score from 0 to 1."""


class LoadScoredAnnotations(LoadAnnotations):  # type: ignore[misc]
    """mmdet's ``LoadAnnotations``, whose labels hold the scores.

    Args:
        n_classes: How many classes there are.
        **settings: Those of mmdet's.
    """

    def __init__(self, n_classes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.n_classes = n_classes

    def _load_labels(self, results: dict[str, Any]) -> None:
        super()._load_labels(results)
        scores = [instance.get("score", 1.0) for instance in results.get("instances", [])]
        steps = np.rint(np.array(scores, np.float64) * STEPS).astype(np.int64)
        results["gt_bboxes_labels"] += self.n_classes * steps


class PackScoredInputs(PackDetInputs):  # type: ignore[misc]
    """mmdet's ``PackDetInputs``, which makes labels and ``weights`` of such labels.

    Args:
        n_classes: How many classes there are.
        **settings: Those of mmdet's.
    """

    def __init__(self, n_classes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.n_classes = n_classes

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack a sample, its objects with their weights."""
        packed: dict[str, Any] = super().transform(results)
        sample = packed["data_samples"]
        for instances in (sample.gt_instances, sample.ignored_instances):
            together = instances.labels
            instances.labels = together % self.n_classes
            instances.weights = (together // self.n_classes).float() / STEPS
        return packed
