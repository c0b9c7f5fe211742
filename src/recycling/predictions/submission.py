"""The CSV files that the competitions take.

Boxes (AI Stages "trash detection"): columns ``PredictionString,image_id``; the image is its file
name, the string is ``label score x_min y_min x_max y_max`` for each box, where the label is the
category's place in the table of categories, from 0.

Masks (AI Stages "trash segmentation"): columns ``image_id,PredictionString``; the string is one
class number a pixel, row by row, of the map brought to 256 x 256 (nearest pixel); 0 is background
and i + 1 the i-th category, as in a label map.

Classes: columns ``annotation_id,category``.

All functions work on tables; every image has one row, in the order of the images table. A table
read with `pandas.read_csv` may be given as it is: an empty string counts as no boxes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.predictions.core import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    IGNORE,
    ClassProbabilities,
    Detections,
    LabelMap,
    LabelMaps,
)

_BOX = ["x_min", "y_min", "x_max", "y_max"]
_FIELDS_OF_BOX = 6


class SubmissionError(ValueError):
    """A submission is not what it should be: one line, the file, the image, the fault."""


def detections_to_submission(
    detections: Detections,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    where: str = "detections",
) -> pd.DataFrame:
    """Write boxes as the competition wants them.

    Numbers are written so that reading them gives the same ones.

    Args:
        detections: The boxes; those of one image keep their order.
        images: The images, with `image_id` and `file_name`.
        categories: The categories, with `category_id`; their order is the order of labels.
        where: What to call the detections in a message.

    Returns:
        ``PredictionString, image_id``, one row an image, also where it has no box.

    Raises:
        TableError: The detections are not a table of detections.
        SubmissionError: A box is on an image or of a category that is not in the tables.
    """
    table = DETECTIONS.conform(detections, where=where)
    _check_known(table["image_id"], images, "image_id", where, "image", "images")
    label_of = {
        int(category_id): label for label, category_id in enumerate(categories["category_id"])
    }
    _check_known(table["category_id"], categories, "category_id", where, "category", "categories")
    strings: dict[int, list[str]] = {int(image_id): [] for image_id in images["image_id"]}
    columns = [table[name].tolist() for name in DETECTIONS.names]
    for image_id, category_id, *numbers in zip(*columns, strict=True):
        # The shortest text that reads back as the same float.
        strings[image_id].append(" ".join([str(label_of[category_id]), *map(repr, numbers)]))
    return pd.DataFrame(
        {
            "PredictionString": pd.Series(
                [" ".join(strings[int(image_id)]) for image_id in images["image_id"]],
                dtype="string",
            ),
            "image_id": images["file_name"].astype("string").reset_index(drop=True),
        }
    )


def submission_to_detections(
    frame: pd.DataFrame,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    where: str = "submission",
) -> Detections:
    """Read boxes from the competition's form.

    Args:
        frame: ``PredictionString, image_id``.
        images: The images, with `image_id` and `file_name`; the submission must have each once.
        categories: The categories, with `category_id`; their order is the order of labels.
        where: What to call the submission in a message, usually its file's name.

    Returns:
        The boxes, in the order of the images table.

    Raises:
        SubmissionError: A column or an image is missing, an image occurs twice or is unknown, a
            row is cut off, or a number is out of range.
    """
    rows = _row_of_each_image(frame, images, where)
    category_ids = categories["category_id"].to_numpy(dtype=np.int64)
    parts, counts = [], []
    for file_name, text in zip(images["file_name"], rows, strict=True):
        numbers = _numbers(text, f"{where}: image {file_name}")
        _check_boxes(numbers, len(category_ids), f"{where}: image {file_name}")
        parts.append(numbers.reshape(-1, _FIELDS_OF_BOX))
        counts.append(len(parts[-1]))
    values = np.concatenate(parts) if parts else np.empty((0, _FIELDS_OF_BOX))
    table = pd.DataFrame(values[:, 2:], columns=_BOX)
    table["image_id"] = np.repeat(images["image_id"].to_numpy(dtype=np.int64), counts)
    table["category_id"] = category_ids[values[:, 0].astype(np.int64)]
    table["score"] = values[:, 1]
    return Detections(DETECTIONS.conform(table, where=where))


def label_maps_to_submission(
    label_maps: LabelMaps,
    images: pd.DataFrame,
    size: int = 256,
    *,
    where: str = "label maps",
) -> pd.DataFrame:
    """Write label maps as the competition wants them.

    Args:
        label_maps: One map an image.
        images: The images, with `image_id` and `file_name`.
        size: Side of the square that each map is brought to, pixels.
        where: What to call the label maps in a message.

    Returns:
        ``image_id, PredictionString``, one row an image.

    Raises:
        SubmissionError: An image has no map, or a map holds 255 ("ignore"), which is no class.
    """
    strings = []
    number_text = np.array([str(number) for number in range(256)])
    for image_id, file_name in zip(images["image_id"], images["file_name"], strict=True):
        if image_id not in label_maps:
            raise SubmissionError(
                f"{where}: image {file_name}: no label map; predict on every image"
            )
        small = _resized(label_maps[int(image_id)], size)
        if (small == IGNORE).any():
            raise SubmissionError(
                f"{where}: image {file_name}: {int((small == IGNORE).sum())} pixels are "
                f'{IGNORE} ("ignore"), which is no class; give each pixel a class'
            )
        strings.append(" ".join(number_text[small.ravel()].tolist()))
    return pd.DataFrame(
        {
            "image_id": images["file_name"].astype("string").reset_index(drop=True),
            "PredictionString": pd.Series(strings, dtype="string"),
        }
    )


def submission_to_label_maps(
    frame: pd.DataFrame,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    size: int = 256,
    *,
    where: str = "submission",
) -> LabelMaps:
    """Read label maps from the competition's form.

    Every row is read and checked at once; a map of 256 x 256 takes 64 KiB.

    Args:
        frame: ``image_id, PredictionString``.
        images: The images, with `image_id` and `file_name`; the submission must have each once.
        categories: The categories; class numbers go up to their number.
        size: Side of the square maps, pixels.
        where: What to call the submission in a message, usually its file's name.

    Returns:
        One map of (size, size) an image. What the picture's own size would add is not there any
        more, so it is left to who uses the maps to bring them to it.

    Raises:
        SubmissionError: A column or an image is missing, an image occurs twice or is unknown, a
            row does not hold size x size numbers, or a class does not exist.
    """
    rows = _row_of_each_image(frame, images, where)
    maps: dict[int, LabelMap] = {}
    for image_id, file_name, text in zip(
        images["image_id"], images["file_name"], rows, strict=True
    ):
        at = f"{where}: image {file_name}"
        numbers = _numbers(text, at)
        if len(numbers) != size * size:
            raise SubmissionError(
                f"{at}: {len(numbers)} class numbers; {size} x {size} pixels need {size * size}"
            )
        bad = ~np.isin(numbers, np.arange(len(categories) + 1))
        if bad.any():
            raise SubmissionError(
                f"{at}: pixel {int(bad.argmax())}: no class {numbers[bad.argmax()]:g}; classes go "
                f"from 0 (background) to {len(categories)}"
            )
        maps[int(image_id)] = numbers.astype(np.uint8).reshape(size, size)
    return LabelMaps(list(maps), maps.__getitem__)


def class_probabilities_to_submission(
    probabilities: ClassProbabilities, *, where: str = "class probabilities"
) -> pd.DataFrame:
    """Write the most likely class of each crop.

    Args:
        probabilities: One row a crop, one column a class; among equals the first class counts.
        where: What to call the probabilities in a message.

    Returns:
        ``annotation_id, category``, the category by name.

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: There is no class, or a probability is missing.
    """
    table = CLASS_PROBABILITIES.conform(probabilities, where=where)
    classes = np.array([name for name in table.columns if name != "annotation_id"])
    if len(classes) == 0:
        raise SubmissionError(f"{where}: no column of a class beside annotation_id")
    values = table[list(classes)].to_numpy(dtype=np.float64)
    bad = np.isnan(values).any(axis=1)
    if bad.any():
        raise SubmissionError(
            f"{where}: crop {table['annotation_id'].iloc[bad.argmax()]}: a probability is missing"
        )
    return pd.DataFrame(
        {
            "annotation_id": table["annotation_id"],
            "category": pd.Series(classes[values.argmax(axis=1)], dtype="string"),
        }
    )


def submission_to_class_probabilities(
    frame: pd.DataFrame, categories: pd.DataFrame, *, where: str = "submission"
) -> ClassProbabilities:
    """Read classes as certainties: probability 1 for the class named, 0 for the others.

    Args:
        frame: ``annotation_id, category``.
        categories: The categories, with `name`; they become the columns, in order.
        where: What to call the submission in a message, usually its file's name.

    Returns:
        One row a crop, one float32 column a category.

    Raises:
        SubmissionError: A column is missing, or a category does not exist.
        TableError: A crop occurs twice.
    """
    _check_columns(frame, ["annotation_id", "category"], where)
    names = [str(name) for name in categories["name"]]
    place = {name: index for index, name in enumerate(names)}
    for annotation_id, name in zip(frame["annotation_id"], frame["category"], strict=True):
        if name not in place:
            raise SubmissionError(
                f"{where}: crop {annotation_id}: no category {name!r}; "
                f"the categories are {', '.join(names)}"
            )
    chosen = np.array([place[name] for name in frame["category"]], dtype=np.int64)
    table = pd.DataFrame(np.eye(len(names), dtype=np.float32)[chosen], columns=names)
    table.insert(0, "annotation_id", frame["annotation_id"].to_numpy())
    return ClassProbabilities(CLASS_PROBABILITIES.conform(table, where=where))


def _check_known(
    ids: pd.Series, table: pd.DataFrame, column: str, where: str, what: str, plural: str
) -> None:
    unknown = ~ids.isin(table[column])
    if unknown.any():
        row = int(unknown.to_numpy().argmax())
        raise SubmissionError(
            f"{where}: row {row}: {what} {ids.iloc[row]} is not in the table of {plural}; "
            f"{int(unknown.sum())} of {len(ids)} rows are like that"
        )


def _check_columns(frame: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    for column in columns:
        if column not in frame.columns:
            raise SubmissionError(
                f"{where}: no column {column!r}; a submission has the columns {', '.join(columns)}"
            )


def _row_of_each_image(frame: pd.DataFrame, images: pd.DataFrame, where: str) -> list[str]:
    """The prediction string of each image, in the order of the images table."""
    _check_columns(frame, ["image_id", "PredictionString"], where)
    file_names = frame["image_id"].astype("string")
    for bad, fault in (
        (file_names.isna(), "has no name"),
        (file_names.duplicated(), "occurs a second time"),
        (~file_names.isin(images["file_name"]), "is not in the table of images"),
    ):
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise SubmissionError(
                f"{where}: row {row}: image {file_names.iloc[row]} {fault}; "
                f"{int(bad.sum())} of {len(frame)} rows are like that"
            )
    missing = ~images["file_name"].isin(file_names)
    if missing.any():
        raise SubmissionError(
            f"{where}: image {images['file_name'].iloc[int(missing.to_numpy().argmax())]} has no "
            f"row; {int(missing.sum())} of {len(images)} images are missing"
        )
    # pandas reads an empty string as a missing value.
    strings = frame["PredictionString"].astype("string").fillna("")
    text_of = dict(zip(file_names, strings, strict=True))
    return [str(text_of[file_name]) for file_name in images["file_name"]]


def _numbers(text: str, at: str) -> NDArray[np.float64]:
    if not text.strip():
        return np.empty(0)
    with warnings.catch_warnings():
        # numpy only warns about text after the last number; to us it is a fault.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            pass
    for position, word in enumerate(text.split()):
        try:
            float(word)
        except ValueError:
            raise SubmissionError(
                f"{at}: {word!r}, item {position} of its PredictionString, is not a number"
            ) from None
    return np.array(text.split(), dtype=np.float64)


def _check_boxes(numbers: NDArray[np.float64], n_categories: int, at: str) -> None:
    """Check one image's ``label score x_min y_min x_max y_max`` numbers."""
    if len(numbers) % _FIELDS_OF_BOX:
        raise SubmissionError(
            f"{at}: {len(numbers)} numbers; each box takes {_FIELDS_OF_BOX} "
            "(label, score, x_min, y_min, x_max, y_max), so the row is cut off"
        )
    boxes = numbers.reshape(-1, _FIELDS_OF_BOX)
    label, score, x_min, y_min, x_max, y_max = boxes.T
    for bad, fault in (
        (~np.isfinite(boxes).all(axis=1), "a number is not finite"),
        (~np.isin(label, np.arange(n_categories)), f"labels go from 0 to {n_categories - 1}"),
        ((score < 0) | (score > 1), "a score is from 0 to 1"),
        ((x_min > x_max) | (y_min > y_max), "its sides are the wrong way round"),
    ):
        if bad.any():
            number = int(bad.argmax())
            values = " ".join(f"{value:g}" for value in boxes[number])
            raise SubmissionError(f"{at}: box {number} ({values}): {fault}")


def _resized(label_map: LabelMap, size: int) -> LabelMap:
    import cv2

    if label_map.shape == (size, size):
        return label_map
    # The competition's own baseline resizes masks with albumentations, which is this.
    return np.asarray(
        cv2.resize(label_map, (size, size), interpolation=cv2.INTER_NEAREST), dtype=np.uint8
    )
