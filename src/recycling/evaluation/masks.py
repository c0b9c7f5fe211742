"""Overlap of true and predicted pixels, class by class."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.annotations.masks import label_maps as true_label_maps
from recycling.annotations.masks import of_size
from recycling.evaluation.core import EvaluationError, Metrics
from recycling.predictions import IGNORE, LabelMap, LabelMaps


def mask_metrics(
    truth: Annotations, label_maps: LabelMaps, metric: Literal["mIoU", "mean Dice"]
) -> Metrics:
    """How far true and predicted pixels of each class overlap, over all images together.

    Pixels that are "ignore" in the truth count for nothing, and neither does an image whose
    prediction is "ignore" throughout: who was to predict it lacks it. A prediction of another size
    is resized to the truth's, taking the nearest pixel.

    Args:
        truth: The images that were predicted on, and what is on them.
        label_maps: A label map for each of these images.
        metric: Which of the figures is the score, and that of each class.

    Returns:
        The score over the background and the categories that are in the truth or predicted, by
        class with ``background`` among them. Details: ``pixel_accuracy``, ``mean_dice``,
        ``absent_classes``, the number of classes left out because they are in neither, and
        ``mIoU`` where it is not the score.

    Raises:
        EvaluationError: An image has no label map, a map holds a value that is no class, or the
            truth has no pixel to compare.
    """
    check_label_maps(truth, label_maps)
    names = ["background", *truth.categories["name"]]
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    true_maps = true_label_maps(truth)
    predicted = [i for i in true_maps if not (label_maps[i] == IGNORE).all()]
    # Where none is predicted, the first is named as the one at fault.
    for image_id in predicted or true_maps:
        counts += image_confusion(true_maps[image_id], label_maps[image_id], len(names), image_id)
    hits = np.diag(counts)
    pixels = counts.sum(axis=1) + counts.sum(axis=0)
    here = pixels > 0
    if not here.any():
        raise EvaluationError(
            f"truth: no pixel to compare on {len(truth.images)} images; evaluate on labelled images"
        )
    iou, dice = hits[here] / (pixels - hits)[here], 2 * hits[here] / pixels[here]
    details = {
        "pixel_accuracy": float(hits.sum() / counts.sum()),
        "mean_dice": float(dice.mean()),
        "absent_classes": float((~here).sum()),
    }
    by_class = iou if metric == "mIoU" else dice
    if metric != "mIoU":
        details["mIoU"] = float(iou.mean())
    per_class = dict(zip(np.array(names)[here].tolist(), by_class.tolist(), strict=True))
    return Metrics(metric, float(by_class.mean()), per_class, details)


def check_label_maps(truth: Annotations, label_maps: LabelMaps) -> None:
    """That every image of the truth has a label map.

    Raises:
        EvaluationError: One has none.
    """
    image_ids = truth.images["image_id"].tolist()
    missing = [image_id for image_id in image_ids if image_id not in label_maps]
    if missing:
        raise EvaluationError(
            f"label maps: none for image {missing[0]}; {len(missing)} of {len(image_ids)} images "
            "have none; predict on every image of the truth"
        )


def image_confusion(
    expected: LabelMap, predicted: LabelMap, n_classes: int, image_id: int
) -> NDArray[np.int64]:
    """How many pixels of each class were taken for which.

    Args:
        expected: (H, W), the true classes.
        predicted: The predicted ones; resized where it has another size.
        n_classes: Background and categories.
        image_id: The image, for the message.

    Returns:
        (classes, classes) pixels by class in the truth and class predicted.

    Raises:
        EvaluationError: A value is no class.

    Example:
        >>> expected = np.array([[0, 1, 255]], np.uint8)
        >>> image_confusion(expected, np.array([[1, 1, 0]], np.uint8), 2, 7).tolist()
        [[0, 1], [0, 1]]
    """
    predicted = of_size(predicted, expected.shape)
    seen = expected != IGNORE
    pairs = expected[seen].astype(np.int64) * 256 + predicted[seen]
    square = np.bincount(pairs, minlength=256 * 256).reshape(256, 256)
    if square[:, n_classes:].any():
        value = n_classes + int(square[:, n_classes:].any(axis=0).argmax())
        if value == IGNORE:
            raise EvaluationError(
                f"label maps: image {image_id} has {square[:, IGNORE].sum()} pixels of value "
                f'{IGNORE} ("ignore"): no member says what they are; have one predict the image'
            )
        raise EvaluationError(
            f"label maps: image {image_id} has the value {value}, but there are "
            f"{n_classes - 1} categories, so values go from 0 to {n_classes - 1}"
        )
    return square[:n_classes, :n_classes]
