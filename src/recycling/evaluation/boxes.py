"""Average precisions of boxes, by category, overlap and size of object."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.evaluation.box_matching import average_precision, match
from recycling.evaluation.core import Metrics
from recycling.evaluation.object_sizes import AREA_RANGES, SIZES
from recycling.predictions import Detections

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""The overlaps from which on a box is right, over which COCO takes the mean; to the last bit."""


def box_metrics(
    truth: Annotations, detections: Detections, metric: Literal["mAP50", "mAP50-95"]
) -> Metrics:
    """The average precisions that COCO defines, at most 100 detections an image and category.

    Args:
        truth: The images that were predicted on, and what is on them. Crowd regions are neither
            found nor missed.
        detections: What was found; schema `recycling.predictions.DETECTIONS`.
        metric: Which of the figures is the score, and that of each class: at an intersection over
            union of 0.50, or the mean over `IOU_THRESHOLDS`.

    Returns:
        The score. Details: ``mAP`` (mean over `IOU_THRESHOLDS`), ``mAP75``, both ``mAP`` and
        ``mAP50`` for each of `SIZES` (``mAP_small``, ``mAP50_small`` and so on; left out where the
        truth has no such object, see `scores_by_size`), ``classes_without_truth``, the number of
        categories that are left out because the truth holds none of them, and ``mAP50`` where it
        is not the score.

    Raises:
        EvaluationError: The truth holds no object, or a detection is on an image or of a category
            that the truth does not know.
    """
    matching = match(truth, detections, iou_thresholds=IOU_THRESHOLDS, area_ranges=AREA_RANGES)
    precision = average_precision(matching)  # (thresholds, sizes, categories)
    judged = precision[:1, 0] if metric == "mAP50" else precision[:, 0]
    names = truth.categories["name"].tolist()
    per_class = {
        name: float(score)
        for name, score in zip(names, judged.mean(axis=0), strict=True)
        if not np.isnan(score)
    }
    details = {"mAP": _mean(precision[:, 0]), "mAP75": _mean(precision[5, 0])}
    for index, size in enumerate(SIZES, start=1):
        if not np.isnan(precision[:, index]).all():
            details[f"mAP_{size}"] = _mean(precision[:, index])
            details[f"mAP50_{size}"] = _mean(precision[0, index])
    details["classes_without_truth"] = float(len(names) - len(per_class))
    if metric != "mAP50":
        details["mAP50"] = _mean(precision[0, 0])
    return Metrics(metric, _mean(judged), per_class, details)


def scores_by_size(metrics: Metrics) -> pd.DataFrame:
    """How well boxes of each size are found.

    Args:
        metrics: From `box_metrics`.

    Returns:
        A row for each of `SIZES`, with the columns ``mAP50`` and ``mAP``; NaN where the truth holds
        no object of that size.
    """
    columns = ("mAP50", "mAP")
    return pd.DataFrame(
        [[metrics.details.get(f"{name}_{size}", np.nan) for name in columns] for size in SIZES],
        index=pd.Index(SIZES, name="size"),
        columns=list(columns),
    )


def _mean(precision: NDArray[np.float64]) -> float:
    """Of all categories that the truth holds."""
    return float(np.nanmean(precision))
