"""Predictions of any task as one table: what was found, where, and how large it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from recycling.annotations import BOX
from recycling.annotations.masks import part_to_segmentation
from recycling.backends import Images
from recycling.inference.core import Predictor, crops_of, whole_images
from recycling.predictions import ClassProbabilities, Detections, LabelMap, LabelMaps
from recycling.tables import Column, Schema

OBJECTS = Schema(
    "objects",
    (
        Column("image_id", "int64", "the image that it is on"),
        Column("category_id", "int64", "what it is"),
        Column("score", "Float64", "confidence; missing where there is none", True, False, 0, 1),
        Column("x_min", "float64", "left edge of the box, pixels"),
        Column("y_min", "float64", "top edge of the box, pixels"),
        Column("x_max", "float64", "right edge of the box, pixels"),
        Column("y_max", "float64", "bottom edge of the box, pixels"),
        Column("area", "float64", "square pixels of its mask, or of its box where it has none"),
        Column("segmentation", "string", "its mask as COCO RLE in JSON", nullable=True),
    ),
    open_ended=True,
)


@dataclass(frozen=True)
class Proposals:
    """What a classifier looks at, if it is not whole images.

    Attributes:
        detector: Proposes boxes.
        score_threshold: The score that a box needs.
    """

    detector: Predictor
    score_threshold: float


@dataclass(frozen=True)
class Found:
    """What was found on some images.

    Attributes:
        objects: Schema `OBJECTS`.
        maps: The label maps of a segmenter.
    """

    objects: pd.DataFrame
    maps: LabelMaps | None = None


def find_objects(predictor: Predictor, images: Images, proposals: Proposals | None = None) -> Found:
    """Predict on images, and put what is found into one table.

    Args:
        predictor: Of any task.
        images: In memory.
        proposals: Of a classifier, where its crops come from; None for whole images.
    """
    if predictor.task == "seg":
        said = cast(LabelMaps, predictor.predict(images))
        drawn = {image_id: np.array(label_map) for image_id, label_map in said.items()}
        maps = LabelMaps(list(drawn), drawn.__getitem__)  # asked for twice, and fused once
        return Found(objects_of_maps(maps, predictor.categories), maps)
    if predictor.task == "det":
        return Found(objects_of_boxes(cast(Detections, predictor.predict(images))))
    if proposals is None:
        images = whole_images(images)
    else:
        boxes = cast(Detections, proposals.detector.predict(images))
        images = crops_of(images, boxes, proposals.score_threshold)
    assert images.crops is not None
    if images.crops.empty:
        return Found(OBJECTS.empty())
    probabilities = cast(ClassProbabilities, predictor.predict(images))
    return Found(objects_of_crops(probabilities, images.crops, predictor.categories))


def objects_of_boxes(detections: Detections) -> pd.DataFrame:
    """One row a box; schema `OBJECTS`.

    Args:
        detections: What was found.
    """
    table = detections.assign(area=_areas(detections))
    if "segmentation" not in table:
        table["segmentation"] = None
    return OBJECTS.conform(table, where="boxes")


def objects_of_crops(
    probabilities: ClassProbabilities, crops: pd.DataFrame, categories: pd.DataFrame
) -> pd.DataFrame:
    """One row a crop, of its most probable class; a column for the probability of each.

    Args:
        probabilities: One row a crop.
        crops: `annotation_id`, `image_id` and a box; one row a crop.
        categories: Schema `CATEGORIES`.
    """
    names = categories["name"].tolist()
    table = crops.merge(probabilities, on="annotation_id", validate="one_to_one")
    each = table[names].to_numpy()
    best = each.argmax(axis=1) if len(each) else np.zeros(0, np.int64)
    found = table[["image_id", *BOX]].assign(
        category_id=categories["category_id"].to_numpy()[best],
        score=each.max(axis=1, initial=0).astype(np.float64).clip(max=1),
        area=_areas(table),
        segmentation=None,
    )
    shown = pd.DataFrame(each, columns=[f"probability of {name}" for name in names])
    return OBJECTS.conform(pd.concat([found, shown], axis=1), where="crops")


def objects_of_maps(maps: LabelMaps, categories: pd.DataFrame) -> pd.DataFrame:
    """One row a connected region of a category, with its mask.

    Args:
        maps: The label maps.
        categories: Schema `CATEGORIES`.
    """
    ids = categories["category_id"].tolist()
    rows = [
        {"image_id": image_id, **region}
        for image_id, label_map in maps.items()
        for region in _regions(label_map, ids)
    ]
    columns = [column.name for column in OBJECTS.columns]
    return OBJECTS.conform(pd.DataFrame(rows, columns=columns), where="regions")


def _regions(label_map: LabelMap, category_ids: list[int]) -> Iterator[dict[str, Any]]:
    import cv2

    for index, category_id in enumerate(category_ids, 1):
        mask = (label_map == index).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for part in range(1, count):
            left, top, width, height, area = stats[part].tolist()
            own = parts[top : top + height, left : left + width] == part
            yield {
                "category_id": category_id,
                "score": None,
                "x_min": float(left),
                "y_min": float(top),
                "x_max": float(left + width),
                "y_max": float(top + height),
                "area": float(area),
                "segmentation": part_to_segmentation(own, left, top, *label_map.shape),
            }


def _areas(boxes: pd.DataFrame) -> pd.Series:
    return (boxes["x_max"] - boxes["x_min"]) * (boxes["y_max"] - boxes["y_min"])
