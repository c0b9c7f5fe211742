"""What makes the scores of members comparable, learnt on their out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from recycling.annotations import Annotations
from recycling.annotations.masks import label_maps
from recycling.backends.shared.model import Task
from recycling.ensembling import (
    Calibrator,
    calibrate_boxes,
    calibrate_classes,
    calibrate_masks,
    count_planes,
)
from recycling.evaluation import right_boxes
from recycling.pipelines.out_of_fold import joined_by_model

OUT_OF_FOLD = "out of fold: "


def out_of_fold_key(name: str) -> str:
    """The input that holds a member's out-of-fold predictions, beside those that are fused.

    >>> out_of_fold_key("resnet.fold0")
    'out of fold: resnet.fold0'
    """
    return f"{OUT_OF_FOLD}{name}"


def split_out_of_fold(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is fused, and the out-of-fold predictions, both by member.

    >>> split_out_of_fold({"yolox.fold0": 1, out_of_fold_key("yolox.fold0"): 2})
    ({'yolox.fold0': 1}, {'yolox.fold0': 2})
    """
    known = {key for key in inputs if key.startswith(OUT_OF_FOLD)}
    return (
        {key: own for key, own in inputs.items() if key not in known},
        {key.removeprefix(OUT_OF_FOLD): inputs[key] for key in inputs if key in known},
    )


def learn_calibrators(
    task: Task, method: str, train: Annotations, out_of_fold: Mapping[str, Any]
) -> dict[str, Calibrator]:
    """Learn, for each model, how often it is right when it says so.

    Args:
        task: What is predicted.
        method: The calibration.
        train: The labelled images.
        out_of_fold: The predictions of each member on labelled images that it has not seen: for
            masks, the probabilities of their pixels.

    Returns:
        What calibrates a model's predictions, by its name: its folds share what is learnt.
    """
    of_models = joined_by_model(out_of_fold)
    if task == "seg":
        truth, images = label_maps(train), set(train.images["image_id"])
        found = {}
        for model, planes in of_models.items():
            ids = [image_id for image_id in planes if image_id in images]
            found[model] = calibrate_masks(method, count_planes(planes, truth, ids))
        return found
    if task == "det":
        return {
            model: calibrate_boxes(method, boxes, right_boxes(train, boxes))
            for model, boxes in of_models.items()
        }
    labels = crop_labels(train)
    return {model: calibrate_classes(method, own, labels) for model, own in of_models.items()}


def crop_labels(truth: Annotations) -> pd.Series:
    """The name of each crop's category, by annotation id."""
    crops = truth.annotations[~truth.annotations["iscrowd"]].set_index("annotation_id")
    names = truth.categories.set_index("category_id")["name"]
    return crops["category_id"].map(names)
