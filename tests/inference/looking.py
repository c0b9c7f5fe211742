"""Models that look at the pixels themselves, so that what they should find is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd

from recycling.annotations import BOX, CATEGORIES
from recycling.backends import Images
from recycling.inference import Predictor
from recycling.predictions import (
    DETECTIONS,
    Detections,
    ProbabilityMaps,
    ProbableLabelMaps,
    probability_planes,
)

RED, BLUE = (250, 0, 0), (0, 0, 250)
KNOWN = [{"category_id": 7, "name": "red"}, {"category_id": 3, "name": "blue"}]


class SeesRectangles:
    """Finds rectangles by their grey level: one an object, of which it sees what is there."""

    categories: Sequence[Mapping[str, Any]] = KNOWN

    def predict(self, images: Images) -> Detections:
        assert images.pixels is not None
        rows = [
            (int(image_id), category_id, score, *box)
            for image_id in images.table["image_id"]
            for category_id, score, box in self.seen(images.pixels[image_id])
        ]
        return Detections(
            DETECTIONS.conform(pd.DataFrame(rows, columns=DETECTIONS.names), where="seen")
        )

    def seen(self, pixels: Any) -> Any:
        for category_id, channel in ((7, 0), (3, 2)):
            for level in np.unique(pixels[..., channel]):
                if level < 100:
                    continue
                y, x = np.nonzero(pixels[..., channel] == level)
                # A larger piece is a surer one.
                score = 0.5 + min(len(x), 10_000) / 20_000
                yield category_id, score, (x.min(), y.min(), x.max() + 1, y.max() + 1)


class SeesColours:
    """Labels each pixel by its own colour, with probabilities."""

    categories: Sequence[Mapping[str, Any]] = KNOWN

    def predict(self, images: Images) -> ProbableLabelMaps:
        assert images.pixels is not None
        pixels = images.pixels

        def probabilities(image_id: int) -> Any:
            image = pixels[image_id].astype(np.float64) / 255
            planes = np.stack([np.full(image.shape[:2], 0.3), image[..., 0], image[..., 2]])
            return probability_planes(planes / planes.sum(axis=0))

        ids = images.table["image_id"].tolist()
        maps = ProbabilityMaps(ids, probabilities)
        return ProbableLabelMaps(ids, maps.label_maps().__getitem__, maps)


def predictor(task: str, model: Any) -> Predictor:
    table = pd.DataFrame(KNOWN).assign(supercategory="", extra=None)
    categories = CATEGORIES.conform(table, where="categories")
    return Predictor(f"{task}.drawn", task, categories, {"alone": model}, identity="drawn")  # type: ignore[arg-type]


def drawn(size: tuple[int, int], boxes: Sequence[tuple[str, int, int, int, int]]) -> Any:
    """An image of (width, height) with rectangles, each of a level of its own."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for number, (colour, *box) in enumerate(boxes):
        x_min, y_min, x_max, y_max = box
        channel = {"red": 0, "blue": 2}[colour]
        image[y_min:y_max, x_min:x_max] = 0
        image[y_min:y_max, x_min:x_max, channel] = 250 - number
    return image


def boxes_of(found: Detections) -> list[tuple[int, ...]]:
    """Category and box of each, sorted."""
    table = found[["category_id", *BOX]].round().astype(int)
    return sorted(map(tuple, table.to_numpy().tolist()))


def write(path: Any, image: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
