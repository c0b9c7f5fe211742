"""Sheets of several images: predictions beside the truth, for each of the three tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from recycling.annotations import BOX, Annotations, ImageFolder, to_label_map
from recycling.predictions import ClassProbabilities, Detections, LabelMap
from recycling.reporting.layout import GAP, Picture, contact_sheet, stacked, titled
from recycling.reporting.overlays import (
    label_legend,
    label_map_panels,
    overlay_crops,
    overlay_detections,
)

# A crop shows some of what is around its object: this share of the box on each side.
_SURROUNDINGS = 0.1


def detection_sheet(
    truth: Annotations,
    folder: ImageFolder,
    detections: Detections,
    n: int = 6,
    *,
    min_score: float = 0.3,
) -> Picture:
    """True and detected boxes of some images.

    Args:
        truth: Annotations of the images that the detections are of.
        folder: The folder that they are in.
        detections: The detections.
        n: How many images to show, evenly spread over `truth` by image id.
        min_score: Detections of a lower score are left out.

    Returns:
        (H, W, 3) RGB: two images a row, each with its two panels.

    Raises:
        FileNotFoundError: An image is not there.
        ValueError: `truth` has no image, or an image cannot be read.
    """
    panels = []
    for image_id, file_name in _images(_spread(truth.images, "image_id", n)):
        found = Detections(detections[detections["image_id"] == image_id])
        pair = overlay_detections(
            read_image(folder, file_name),
            truth.of_images([image_id]),
            found,
            truth.categories,
            min_score=min_score,
        )
        panels.append(titled(pair, file_name))
    return contact_sheet(panels, 2)


def segmentation_sheet(
    truth: Annotations,
    folder: ImageFolder,
    label_maps: Mapping[int, LabelMap],
    n: int = 6,
) -> Picture:
    """True and predicted label maps of some images, over one legend.

    Args:
        truth: Annotations with masks.
        folder: The folder that they are in.
        label_maps: The predicted map of each image, by image id.
        n: How many images to show, evenly spread by image id over those that have a map.

    Returns:
        (H, W, 3) RGB: two images a row, each with its two panels.

    Raises:
        FileNotFoundError: An image is not there.
        ValueError: No image of `truth` has a map, or an image cannot be read.
    """
    predicted = truth.images[truth.images["image_id"].isin(list(label_maps))]
    panels = []
    present: set[int] = set()
    for image_id, file_name in _images(_spread(predicted, "image_id", n)):
        true_map, predicted_map = to_label_map(truth, image_id), label_maps[image_id]
        present |= set(np.unique(true_map)) | set(np.unique(predicted_map))
        pair = label_map_panels(
            read_image(folder, file_name), true_map, predicted_map, truth.categories
        )
        panels.append(titled(pair, file_name))
    return sheet_with_legend(panels, 2, present, truth.categories)


def classification_sheet(
    truth: Annotations, folder: ImageFolder, probabilities: ClassProbabilities, n: int = 24
) -> Picture:
    """Some crops with what they are and what the model says.

    Args:
        truth: Annotations with the crops' categories and boxes.
        folder: The folder that the images are in.
        probabilities: The model's probabilities; a column for each name of a category.
        n: How many crops to show, evenly spread by annotation id over those that have
            probabilities.

    Returns:
        (H, W, 3) RGB: eight crops a row.

    Raises:
        FileNotFoundError: An image is not there.
        ValueError: No annotation of `truth` has probabilities, or an image cannot be read.
    """
    annotations = truth.annotations
    predicted = annotations[annotations["annotation_id"].isin(probabilities["annotation_id"])]
    shown = _spread(predicted, "annotation_id", n)
    scores = probabilities.set_index("annotation_id").loc[shown["annotation_id"]]
    file_names = dict(_images(truth.images))
    names = truth.categories.set_index("category_id")["name"]
    images = {
        image_id: read_image(folder, file_names[image_id])
        for image_id in shown["image_id"].unique().tolist()
    }
    return overlay_crops(
        [
            crop(images[image_id], box)
            for image_id, box in zip(
                shown["image_id"].tolist(), shown[BOX].to_numpy().tolist(), strict=True
            )
        ],
        # What a model proposed is no truth.
        shown["category_id"].map(names).where(shown["source"] == "human", "").tolist(),
        [str(name) for name in scores.idxmax(axis="columns")],
        scores.max(axis="columns").tolist(),
    )


def sheet_with_legend(
    panels: Sequence[Picture], columns: int, values: Iterable[int], categories: pd.DataFrame
) -> Picture:
    """Images with label maps in a grid, over one legend.

    Args:
        panels: Each (H, W, 3) RGB.
        columns: How many there are in a row.
        values: The values that occur in the label maps.
        categories: Schema `CATEGORIES`; its order gives the colours.
    """
    sheet = contact_sheet(panels, columns)
    key = label_legend(sheet.shape[1] - 2 * GAP, values, categories)
    below = ((0, GAP), (GAP, GAP), (0, 0))
    return stacked([sheet, np.pad(key, below, constant_values=255)])


def read_image(folder: ImageFolder, file_name: str) -> Picture:
    """One image, upright.

    Args:
        folder: Where it is.
        file_name: Its path below the folder.

    Returns:
        (H, W, 3) RGB.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is not an image.
    """
    import cv2

    path = folder.path / file_name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such image; the overlays need the image folder that the "
            "annotations belong to"
        )
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{path}: cannot be read as an image; remove it or replace it")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _spread(table: pd.DataFrame, key: str, n: int) -> pd.DataFrame:
    """`n` rows, evenly spread over the table in the order of `key`: always the same ones."""
    if table.empty:
        raise ValueError(f"nothing to draw: no {key} has both a truth and a prediction")
    ordered = table.sort_values(key, kind="stable")
    picked = np.unique(np.linspace(0, len(ordered) - 1, min(n, len(ordered))).round().astype(int))
    return ordered.take(picked)


def _images(images: pd.DataFrame) -> list[tuple[int, str]]:
    """Id and file name of each image."""
    return list(zip(images["image_id"].tolist(), images["file_name"].tolist(), strict=True))


def crop(image: Picture, box: Sequence[float]) -> Picture:
    """What is in a box, and a little around it.

    Args:
        image: (H, W, 3) RGB.
        box: `x_min, y_min, x_max, y_max`, pixels.
    """
    height, width = image.shape[:2]
    x_min, y_min, x_max, y_max = box
    more_x, more_y = (x_max - x_min) * _SURROUNDINGS, (y_max - y_min) * _SURROUNDINGS
    left, top = max(0, int(x_min - more_x)), max(0, int(y_min - more_y))
    right = min(width, max(left + 1, int(np.ceil(x_max + more_x))))
    bottom = min(height, max(top + 1, int(np.ceil(y_max + more_y))))
    return image[top:bottom, left:right]
