"""Average precisions of boxes, by category, overlap and size of object."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations
from recycling.evaluation.core import EvaluationError, Metrics
from recycling.predictions import DETECTIONS, Detections

SIZES = ("small", "medium", "large")
"""Of objects, as COCO has them: areas up to 32² pixels, up to 96², and above; an object whose area
is exactly a limit is of both sizes."""


IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""The overlaps from which on a box is right, over which COCO takes the mean."""


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
    check_detections(truth, detections)
    precision = _precision(truth, detections)
    names = truth.categories["name"].tolist()
    by_category = {
        name: values
        for name, values in zip(names, np.moveaxis(precision, 2, 0), strict=True)
        if (values[:, :, 0] > -1).any()
    }
    judged = slice(1) if metric == "mAP50" else slice(None)
    per_class = {name: _mean(values[judged, :, 0]) for name, values in by_category.items()}
    details = {"mAP": _mean(precision[:, :, :, 0]), "mAP75": _mean(precision[5, :, :, 0])}
    for index, size in enumerate(SIZES, start=1):
        if (precision[:, :, :, index] > -1).any():
            details[f"mAP_{size}"] = _mean(precision[:, :, :, index])
            details[f"mAP50_{size}"] = _mean(precision[0, :, :, index])
    details["classes_without_truth"] = float(len(names) - len(by_category))
    if metric != "mAP50":
        details["mAP50"] = _mean(precision[0, :, :, 0])
    return Metrics(metric, _mean(precision[judged, :, :, 0]), per_class, details)


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


def check_detections(truth: Annotations, detections: Detections) -> None:
    """That there is something to find, and that the detections are of these images and categories.

    Raises:
        EvaluationError: They are not, or there is nothing to find.
    """
    if truth.annotations["iscrowd"].all():
        raise EvaluationError(
            f"truth: no object on any of the {len(truth.images)} images, so there is nothing to "
            "find; evaluate on labelled images"
        )
    for column, known in (("image_id", truth.images), ("category_id", truth.categories)):
        strange = ~detections[column].isin(known[column])
        if strange.any():
            raise EvaluationError(
                f"detections: {column} {detections[column][strange].iloc[0]} is not in the truth; "
                f"{int(strange.sum())} of {len(detections)} rows are like that"
            )


def _precision(truth: Annotations, detections: Detections) -> NDArray[np.float64]:
    """(10 IoU thresholds, 101 recalls, categories, 4 areas); -1 where there is no truth."""
    evaluation = coco_evaluation(truth, in_evaluation_order(detections))
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"], dtype=np.float64)[..., -1]
    # The library orders categories by id.
    order = np.argsort(np.argsort(truth.categories["category_id"].to_numpy()))
    return precision[:, :, order]


def in_evaluation_order(detections: Detections) -> pd.DataFrame:
    """Image by image, category by category, the best first; so equal scores have one order."""
    return DETECTIONS.conform(detections, where="detections").sort_values(
        ["image_id", "category_id", "score", *BOX],
        ascending=[True, True, False] + [True] * 4,
        ignore_index=True,
    )


def coco_evaluation(truth: Annotations, detections: pd.DataFrame) -> Any:
    """The library's evaluation, not yet run.

    Objects and detections are numbered from 1, in the order of their rows.

    Args:
        truth: The images and what is on them.
        detections: As `in_evaluation_order` gives them.

    Returns:
        A `faster_coco_eval.COCOeval_faster`.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    # Ids are dealt anew: the reference implementation takes a match with id 0 for none.
    objects = truth.annotations.reset_index(drop=True)
    annotations = [
        {**entry, "id": number, "area": area, "iscrowd": int(iscrowd)}
        for number, (entry, area, iscrowd) in enumerate(
            zip(
                _coco_boxes(objects),
                objects["area"].tolist(),
                objects["iscrowd"].tolist(),
                strict=True,
            ),
            start=1,
        )
    ]
    coco_truth = COCO(
        {
            "images": [{"id": image_id} for image_id in truth.images["image_id"].tolist()],
            "annotations": annotations,
            "categories": [{"id": index} for index in truth.categories["category_id"].tolist()],
        }
    )
    found = [
        {**entry, "score": score}
        for entry, score in zip(_coco_boxes(detections), detections["score"].tolist(), strict=True)
    ]
    return COCOeval_faster(coco_truth, coco_truth.loadRes(found), iouType="bbox")


def _coco_boxes(table: pd.DataFrame) -> list[dict[str, Any]]:
    x_min, y_min, x_max, y_max = (table[name].to_numpy() for name in BOX)
    boxes = np.column_stack([x_min, y_min, x_max - x_min, y_max - y_min]).tolist()
    return [
        {"image_id": image_id, "category_id": category_id, "bbox": box}
        for image_id, category_id, box in zip(
            table["image_id"].tolist(), table["category_id"].tolist(), boxes, strict=True
        )
    ]


def _mean(precision: NDArray[np.float64]) -> float:
    return float(precision[precision > -1].mean())
