"""Average precisions of boxes, by category, overlap and size of object."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recycling.annotations import Annotations, StoredAnnotations
from recycling.evaluation.box_matching import (
    average_precision,
    match,
    match_part,
    nothing_to_find,
)
from recycling.evaluation.box_outcomes import Outcomes
from recycling.evaluation.core import Metrics
from recycling.evaluation.object_sizes import AREA_RANGES, SIZES
from recycling.predictions import Detections
from recycling.stored_tables import StoredTable, bounds_of, whole

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""The overlaps from which on a box is right, over which COCO takes the mean; to the last bit."""


_IN_MEMORY = 32 << 20  # bytes of outcomes, 48 a box; those of more boxes lie in a temporary file


def box_metrics(
    truth: Annotations | StoredAnnotations,
    detections: Detections | StoredTable,
    metric: Literal["mAP50", "mAP50-95"],
) -> Metrics:
    """The average precisions that COCO defines, at most 100 detections an image and category.

    Where both are on disk, some images are matched at a time, and memory goes to these, and to the
    detections of the commonest category.

    Args:
        truth: The images that were predicted on, and what is on them. Crowd regions are neither
            found nor missed.
        detections: What was found; schema `recycling.predictions.DETECTIONS`.
        metric: Which of the figures is the score, and that of each class: at an intersection over
            union of 0.50, or the mean over `IOU_THRESHOLDS`.

    Returns:
        The score. Details: ``mAP`` (mean over `IOU_THRESHOLDS`), ``mAP75``, both ``mAP`` and
        ``mAP50`` for each of `SIZES` (``mAP_small``, ``mAP50_small`` and so on; left out where the
        truth has no such object), ``classes_without_truth``, the number of categories that are left
        out because the truth holds none of them, and ``mAP50`` where it is not the score.

    Raises:
        EvaluationError: The truth holds no object, or a detection is on an image or of a category
            that the truth does not know.
    """
    names = truth.categories["name"].tolist()
    precision = _precision(truth, detections, len(names))  # (thresholds, sizes, categories)
    judged = precision[:1, 0] if metric == "mAP50" else precision[:, 0]
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


def _precision(
    truth: Annotations | StoredAnnotations, detections: Detections | StoredTable, n_categories: int
) -> NDArray[np.float64]:
    """(thresholds, sizes, categories) average precisions; by parts where there are several."""
    limits: Any = {"iou_thresholds": IOU_THRESHOLDS, "area_ranges": AREA_RANGES}
    if (
        not isinstance(truth, StoredAnnotations)
        or not isinstance(detections, StoredTable)
        or len(bounds := bounds_of([truth.objects, detections])) == 0
    ):
        return average_precision(match(whole(truth), whole(detections), **limits))
    n_images, has_objects = 0, False
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        outcomes = Outcomes(file, len(IOU_THRESHOLDS), len(AREA_RANGES), n_categories)
        for some, found in zip(truth.parts(bounds), detections.parts(bounds), strict=True):
            n_images += len(some.images)
            has_objects = has_objects or not some.annotations["iscrowd"].all()
            outcomes.add(match_part(some, Detections(found), **limits))
        if not has_objects:
            raise nothing_to_find(n_images)
        return outcomes.average_precision()


def _mean(precision: NDArray[np.float64]) -> float:
    """Of all categories that the truth holds."""
    return float(np.nanmean(precision))
