"""Mean average precision of boxes over ten thresholds of the intersection over union."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.annotations import Annotations, StoredAnnotations
from recycling.evaluation.box_matches import BoxMatches, match_boxes
from recycling.evaluation.boxes import IOU_THRESHOLDS, box_metrics
from recycling.evaluation.core import Metrics
from recycling.evaluation.metric import BoxMetric, box_metric
from recycling.predictions import Detections
from recycling.stored_tables import StoredTable


class Map5095Settings(BoxMetric):
    """COCO's mean average precision: the mean over overlaps (IoU) of 0.50, 0.55, ... 0.95."""

    metric: Literal["map50_95"] = "map50_95"


@dataclass(frozen=True)
class MeanOverThresholds:
    """An `ImageScores`: the mean of the mAP at each threshold.

    Attributes:
        matches: What was found at each threshold.
    """

    matches: list[BoxMatches]

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return self.matches[0].n_images

    @property
    def has_truth(self) -> NDArray[np.bool_]:
        """(images,) whether an image holds an object."""
        return self.matches[0].has_truth

    def scores(self, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """The mAP of each draw: (draws, images) to (draws,), NaN where a draw has no object."""
        by_threshold = np.array([found.scores(draws) for found in self.matches])
        return np.asarray(by_threshold.mean(axis=0), dtype=np.float64)


def map50_95_by_image(
    truth: Annotations, members: Mapping[str, Detections]
) -> dict[str, MeanOverThresholds]:
    """Match detections with objects at each threshold; see `match_boxes`."""
    by_threshold = [match_boxes(truth, members, iou_threshold=iou) for iou in IOU_THRESHOLDS]
    return {name: MeanOverThresholds([found[name] for found in by_threshold]) for name in members}


@box_metric(
    "map50_95", Map5095Settings, title="mAP50-95", image_scores=map50_95_by_image, takes_parts=True
)
def map50_95(
    truth: Annotations | StoredAnnotations, detections: Detections | StoredTable
) -> Metrics:
    """Average precision as COCO ranks by, the mean over ten IoU thresholds.

    Source: Lin et al., Microsoft COCO (2014), https://cocodataset.org/#detection-eval.

    Args:
        truth: As for `map50`.
        detections: As for `map50`.

    Returns:
        Metric ``mAP50-95``, by class the AP; details as `box_metrics` gives them.

    Raises:
        EvaluationError: As `map50` does.
    """
    return box_metrics(truth, detections, "mAP50-95")
