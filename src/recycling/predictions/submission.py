"""The formats of a competition's submission, by name.

A format is one file of `formats`, which the package's `__init__` imports, or a module of a user's:
its settings, how predictions become the table that is written as a CSV file, how such a file is
read, and a line that registers them.
Submissions are written, and predictions of others are read, through the registries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.errors import listed
from recycling.given_names import with_given_names
from recycling.names import shown_name
from recycling.predictions.core import Detections, LabelMaps, Predictions, SubmissionError
from recycling.predictions.formats.rows import MissingImages
from recycling.predictions.plausible import UnusualBoxes, check_boxes
from recycling.registry import PickedSettings, Registry
from recycling.stored_tables import StoredTable, in_parts, whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Format:
    """A format of submissions, which are CSV files.

    Attributes:
        write: Takes predictions, the images (for classes, the crops), the categories, and its
            settings by keyword; gives the table.
        read: Takes the file, the images (or crops), the categories, `missing_images` and its
            settings by keyword; gives the predictions.
        rows_in: Takes the file and the images (or crops); gives the rows of those that the file
            predicts. Without it a file counts as one that predicts all.
        row_an_image: Whether the table has a row for each image, in their order, that nothing on
            other images has a say in; then it is written some images at a time.
    """

    write: Callable[..., pd.DataFrame]
    read: Callable[..., Predictions]
    rows_in: Callable[[str | Path, pd.DataFrame], NDArray[np.int64]] | None = None
    row_an_image: bool = False


CLASS_FORMATS: Registry[Format] = Registry("submission format of classes")
BOX_FORMATS: Registry[Format] = Registry("submission format of boxes")
MASK_FORMATS: Registry[Format] = Registry("submission format of masks")


class ClassFormat(PickedSettings, registry=CLASS_FORMATS, key="format", default="classes"):
    """How class probabilities are submitted."""

    format: str


class BoxFormat(PickedSettings, registry=BOX_FORMATS, key="format", default="aistages_detection"):
    """How boxes are submitted."""

    format: str


class MaskFormat(
    PickedSettings, registry=MASK_FORMATS, key="format", default="aistages_segmentation"
):
    """How label maps are submitted."""

    format: str


def to_submission(
    settings: PickedSettings,
    predictions: Predictions | StoredTable,
    images: pd.DataFrame | StoredTable,
    categories: pd.DataFrame,
) -> pd.DataFrame:
    """Write predictions as the competition wants them, as the table of a CSV file.

    Images are called as their annotations have called them before cleaning.

    Of predictions and images on disk the table is made when it is written, some images at a time,
    where the format has a row an image and the images are in the order of their ids.

    Args:
        settings: The format and its settings: a `ClassFormat`, `BoxFormat` or `MaskFormat`.
        predictions: Of the kind that the format is for.
        images: The images to predict; for classes the crops, a table of annotations.
        categories: The categories; their order is that of labels.

    Raises:
        TableError: The predictions are not a table of their kind.
        SubmissionError: They do not fit the images or categories, or lack some, or two images have
            one name.

    Example:
        >>> from recycling.predictions import BoxFormat
        >>> boxes = pd.DataFrame({"image_id": [4], "category_id": [7], "score": [0.5],
        ...                       "x_min": [1.0], "y_min": [2.0], "x_max": [3.0], "y_max": [4.0]})
        >>> images = pd.DataFrame({"image_id": [4], "file_name": ["test/0000.jpg"]})
        >>> categories = pd.DataFrame({"category_id": [3, 7]})
        >>> settings = BoxFormat.model_validate({"format": "aistages_detection"})
        >>> print(to_submission(settings, boxes, images, categories).to_csv(index=False).strip())
        PredictionString,image_id
        1 0.5 1 2 3 4,test/0000.jpg
    """
    picked: Format = settings.picked

    def written(tables: Mapping[str, Any]) -> pd.DataFrame:
        rows = with_given_names(tables["images"])
        return picked.write(tables["predictions"], rows, categories, **settings.arguments())

    if not isinstance(settings, ClassFormat):
        _check_named_once(images)
    tables = {"predictions": predictions, "images": images}
    in_order = isinstance(images, StoredTable) and images.is_ascending
    if not (picked.row_an_image and in_order):
        tables = {name: whole(own) for name, own in tables.items()}
    return cast(pd.DataFrame, in_parts(written, tables))


def _check_named_once(images: pd.DataFrame | StoredTable) -> None:
    """Stop where two images would be in a submission under one name."""
    parts: Iterable[pd.DataFrame] = (
        [images] if isinstance(images, pd.DataFrame) else images.some_columns("file_name", "extra")
    )
    # Of a million names on disk, eight bytes each are in memory.
    hashes = [
        pd.util.hash_array(with_given_names(part)["file_name"].to_numpy(dtype=object))
        for part in parts
    ]
    if not pd.Series(np.concatenate([np.empty(0, np.uint64), *hashes])).duplicated().any():
        return
    table = with_given_names(images if isinstance(images, pd.DataFrame) else images.whole())
    twice = table[table["file_name"].duplicated(keep=False)]
    if len(twice):
        raise SubmissionError(
            f"images {listed(map(str, twice['image_id']), 3)} are called "
            f"{shown_name(twice['file_name'].iloc[0])}; a submission has a row for each name: keep "
            "one of them in the test annotations, or switch on drop_duplicate_images for test"
        )


def read_submission(
    settings: PickedSettings,
    path: str | Path,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    missing_images: MissingImages = "error",
    unusual_boxes: UnusualBoxes = "error",
    dropped: pd.DataFrame | None = None,
) -> Predictions:
    """Read predictions from a file that was written for the competition.

    Args:
        settings: The format and its settings.
        path: The CSV file.
        images: The images that were to be predicted; for classes the crops.
        categories: The categories; their order is that of labels.
        missing_images: Whether an image without a row is an error or is gone on without.
        unusual_boxes: Whether boxes that do not look like boxes on their images are an error; see
            `check_boxes`.
        dropped: Further images, which cleaning dropped: rows of them are passed over, and counted
            in a warning. Not looked at for classes.

    Raises:
        SubmissionError: One line that counts all faults of the file by kind and names the first
            images of each.
    """
    picked: Format = settings.picked
    there = images
    if dropped is not None and not isinstance(settings, ClassFormat):
        there = _with_those_in(path, images, dropped, picked)
    predictions = picked.read(
        path, there, categories, missing_images=missing_images, **settings.arguments()
    )
    if isinstance(settings, BoxFormat):
        check_boxes(cast(Detections, predictions), there, path, unusual=unusual_boxes)
    return predictions if there is images else _of_images(predictions, images)


def _with_those_in(
    path: str | Path, images: pd.DataFrame, dropped: pd.DataFrame, picked: Format
) -> pd.DataFrame:
    """The images to predict, and after them those dropped ones that a file has rows of."""
    if dropped.empty or picked.rows_in is None:
        return images
    every = pd.concat([images, dropped], ignore_index=True)
    rows = picked.rows_in(path, every)
    passed = every.iloc[rows[rows >= len(images)]]
    if passed.empty:
        return images
    logger.warning(
        "%s: %d of its images were dropped by cleaning; their rows are passed over: %s",
        path, len(passed), listed(map(shown_name, passed["file_name"]), 3),
    )  # fmt: skip
    return pd.concat([images, passed], ignore_index=True)


def _of_images(predictions: Predictions, images: pd.DataFrame) -> Predictions:
    if isinstance(predictions, LabelMaps):
        return LabelMaps(images["image_id"].tolist(), predictions.__getitem__)
    own = predictions["image_id"].isin(images["image_id"])
    return Detections(predictions[own].reset_index(drop=True))
