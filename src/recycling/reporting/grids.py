"""Grids of several images: predictions beside the truth, for each of the three tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from recycling.annotations import BOX, Annotations, ImageFolder, to_label_map
from recycling.annotations.images import decoding
from recycling.predictions import ClassProbabilities, Detections, LabelMap
from recycling.reporting.layout import GAP, RgbImage, image_grid, stacked, titled
from recycling.reporting.overlays import (
    crop_tile,
    label_legend,
    label_map_panels,
    overlay_detections,
)

# A crop shows some of what is around its object: this share of the box on each side.
_SURROUNDINGS = 0.1


def detection_grid(
    truth: Annotations,
    folder: ImageFolder,
    detections: Detections,
    n: int = 6,
    *,
    min_score: float = 0.3,
) -> RgbImage:
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
    return image_grid(panels, 2)


def segmentation_grid(
    truth: Annotations,
    folder: ImageFolder,
    label_maps: Mapping[int, LabelMap],
    n: int = 6,
) -> RgbImage:
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
    return grid_with_legend(panels, 2, present, truth.categories)


def classification_grid(
    truth: Annotations, folder: ImageFolder, probabilities: ClassProbabilities, n: int = 24
) -> RgbImage:
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
    return crop_grid(truth, folder, shown["annotation_id"].tolist(), [probabilities])


def crop_grid(
    truth: Annotations,
    folder: ImageFolder,
    annotation_ids: Sequence[int],
    models: Sequence[ClassProbabilities],
) -> RgbImage:
    """Crops in a grid, each over what it is and what one or more models take it for.

    Args:
        truth: Annotations with the crops' categories and boxes.
        folder: The folder that the images are in.
        annotation_ids: The crops.
        models: The class probabilities of each model; the last one decides the frame's colour.

    Returns:
        (H, W, 3) RGB: eight crops a row.

    Raises:
        FileNotFoundError: An image is not there.
        ValueError: An image cannot be read.
    """
    annotations = truth.annotations.set_index("annotation_id").loc[list(annotation_ids)]
    file_names = annotations["image_id"].map(dict(_images(truth.images)))
    names = truth.categories.set_index("category_id")["name"]
    crops = zip(
        file_names,
        annotations[BOX].to_numpy().tolist(),
        # What a model proposed is no truth.
        annotations["category_id"].map(names).where(annotations["source"] == "human", ""),
        *(_best_classes(table, annotation_ids, list(names)) for table in models),
        strict=True,
    )
    tiles = [
        crop_tile(crop(read_image(folder, file_name), box), true_name, predictions)
        for file_name, box, true_name, *predictions in crops
    ]
    return image_grid(tiles, 8)


def _best_classes(
    probabilities: ClassProbabilities, annotation_ids: Sequence[int], names: list[str]
) -> list[tuple[str, float]]:
    """The most likely class of each crop, and its probability."""
    scores = probabilities.set_index("annotation_id").loc[list(annotation_ids), names]
    return list(
        zip(scores.idxmax(axis="columns").astype(str), scores.max(axis="columns"), strict=True)
    )


def grid_with_legend(
    panels: Sequence[RgbImage], columns: int, values: Iterable[int], categories: pd.DataFrame
) -> RgbImage:
    """Images with label maps in a grid, over one legend.

    Args:
        panels: Each (H, W, 3) RGB.
        columns: How many there are in a row.
        values: The values that occur in the label maps.
        categories: Schema `CATEGORIES`; its order gives the colours.
    """
    grid = image_grid(panels, columns)
    legend = label_legend(grid.shape[1] - 2 * GAP, values, categories)
    below = ((0, GAP), (GAP, GAP), (0, 0))
    return stacked([grid, np.pad(legend, below, constant_values=255)])


def read_image(folder: ImageFolder, file_name: str) -> RgbImage:
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
    path = folder.path / file_name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such image; the overlays need the image folder that the "
            "annotations belong to"
        )
    return decoding.read_image(path)


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


def crop(image: RgbImage, box: Sequence[float]) -> RgbImage:
    """What is in a box, and a little around it.

    Args:
        image: (H, W, 3) RGB.
        box: `x_min, y_min, x_max, y_max`, pixels.

    >>> crop(np.zeros((100, 200, 3), np.uint8), [10, 20, 60, 40]).shape
    (24, 60, 3)
    """
    height, width = image.shape[:2]
    x_min, y_min, x_max, y_max = box
    more_x, more_y = (x_max - x_min) * _SURROUNDINGS, (y_max - y_min) * _SURROUNDINGS
    left, top = max(0, int(x_min - more_x)), max(0, int(y_min - more_y))
    right = min(width, max(left + 1, int(np.ceil(x_max + more_x))))
    bottom = min(height, max(top + 1, int(np.ceil(y_max + more_y))))
    return image[top:bottom, left:right]


GRIDS: Mapping[str, Callable[..., RgbImage]] = {
    "cls": classification_grid,
    "det": detection_grid,
    "seg": segmentation_grid,
}
"""What is true beside what is predicted, by task: of the truth, its image folder, predictions."""
