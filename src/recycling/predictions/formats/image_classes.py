"""CSV files of the class of each image, for competitions in which whole images are classified.

Two columns, by default ``file_name,category``: the image, and the name or number of its class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.errors import Faults, listed, visible
from recycling.names import KnownNames
from recycling.predictions.core import CLASS_PROBABILITIES, ClassProbabilities, SubmissionError
from recycling.predictions.formats.class_table import ID, checked_probabilities, read_texts
from recycling.predictions.formats.rows import MissingImages, note_missing
from recycling.predictions.submission import CLASS_FORMATS, ClassFormat, Format


class ImageClasses(ClassFormat):
    """A row an image: its file name and its most likely class.

    Attributes:
        image_column: The column of file names, such as ``ImageID``.
        class_column: The column of classes, such as ``ans``.
        labels: Whether classes are written by name, or as their number in the table of categories.
    """

    format: Literal["image_classes"] = "image_classes"
    image_column: str = "file_name"
    class_column: str = "category"
    labels: Literal["name", "number"] = "name"


def image_classes_to_submission(
    probabilities: ClassProbabilities,
    crops: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    image_column: str = "file_name",
    class_column: str = "category",
    labels: Literal["name", "number"] = "name",
) -> pd.DataFrame:
    """Write the most likely class of each image, as a table.

    Args:
        probabilities: One row a crop, one column a class; among equals the first class counts.
        crops: One crop an image, with `annotation_id` and `file_name`.
        categories: The categories, with `name`; their order is that of numbers.
        image_column: As for `ImageClasses`.
        class_column: As for `ImageClasses`.
        labels: As for `ImageClasses`.

    Raises:
        TableError: The probabilities are not a table of class probabilities.
        SubmissionError: An image has several crops or none, or a crop has no probabilities.

    Example:
        >>> table = pd.DataFrame({"annotation_id": [7], "Paper": [0.2], "Metal": [0.8]})
        >>> crops = pd.DataFrame({"annotation_id": [7], "file_name": ["a.jpg"]})
        >>> categories = pd.DataFrame({"name": ["Paper", "Metal"]})
        >>> options = {"image_column": "ImageID", "class_column": "ans", "labels": "number"}
        >>> submission = image_classes_to_submission(table, crops, categories, **options)
        >>> print(submission.to_csv(index=False).strip())
        ImageID,ans
        a.jpg,1
    """
    table, classes, values = checked_probabilities(probabilities)
    _check_one_each(crops)
    row = pd.Index(table[ID]).get_indexer(crops[ID])
    if (row < 0).any():
        name = crops["file_name"].iloc[int((row < 0).argmax())]
        raise SubmissionError(f"class probabilities: none for image {name}")
    chosen = np.array(classes)[values.argmax(axis=1)][row]
    numbers = pd.Index(categories["name"]).get_indexer(chosen)
    return pd.DataFrame(
        {
            image_column: crops["file_name"].astype("string").reset_index(drop=True),
            class_column: pd.Series(chosen, dtype="string") if labels == "name" else numbers,
        }
    )


def read_image_classes_csv(
    path: str | Path,
    crops: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    missing_images: MissingImages = "error",
    image_column: str = "file_name",
    class_column: str = "category",
    labels: Literal["name", "number"] = "name",
) -> ClassProbabilities:
    """Read the class of each image from a CSV file, as a certainty.

    Args:
        path: The CSV file.
        crops: One crop an image, with `annotation_id` and `file_name`.
        categories: The categories, with `name`; their order is that of numbers.
        missing_images: Whether an image without a row is an error, or has the same probability for
            every class.
        image_column: As for `ImageClasses`.
        class_column: As for `ImageClasses`.
        labels: As for `ImageClasses`.

    Raises:
        SubmissionError: One line that counts all faults of the file by kind.
    """
    path = Path(path)
    faults = Faults(path, SubmissionError)
    names = [str(name) for name in categories["name"]]
    frame = _read(path, image_column, class_column)
    lines, found = _rows(frame[image_column], crops, path, faults)
    texts = frame[class_column].iloc[lines]
    known = KnownNames(names if labels == "name" else [str(row) for row in range(len(names))])
    chosen = [known.find(text.strip()) for text in texts]
    known.say_rewritten(path, "classes")
    shown = listed(names) if labels == "name" else f"0 to {len(names) - 1}"
    for text, image, row in zip(texts, frame[image_column].iloc[lines], chosen, strict=True):
        if row is None:
            faults.add(f"no such class, they are {shown}", f"image {image} ({visible(text)})")
    image_names = crops["file_name"].astype(str).tolist()
    note_missing("image", image_names, found, path, missing_images, faults)
    faults.raise_if_any()
    filled = np.full((len(crops), len(names)), 1 / max(1, len(names)), dtype=np.float32)
    filled[found] = np.eye(len(names), dtype=np.float32)[[row or 0 for row in chosen]]
    table = pd.DataFrame(filled, columns=names)
    table.insert(0, ID, crops[ID].to_numpy(dtype=np.int64))
    return ClassProbabilities(CLASS_PROBABILITIES.conform(table, where=str(path)))


def _read(path: Path, image_column: str, class_column: str) -> pd.DataFrame:
    frame = read_texts(path)
    for column in (image_column, class_column):
        if column not in frame.columns:
            raise SubmissionError(
                f"{path}: no column {column!r}; there are {listed(frame.columns)}: correct the "
                "header, or set image_column and class_column of the submission"
            )
    return frame


def _rows(
    texts: pd.Series, crops: pd.DataFrame, path: Path, faults: Faults
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The lines of the file that are good, and the row of each one's crop."""
    _check_one_each(crops)
    known = KnownNames(crops["file_name"].astype(str).tolist())
    line_of: dict[int, int] = {}
    for line, name in enumerate(texts):
        row = known.find(name)
        if row is None:
            kind = "the image is not one of those to predict, remove its row"
            known.note_unknown(name, "image", f"line {line + 2}", kind, faults)
        elif row in line_of:
            faults.add("the image has a second row, keep one", f"{visible(name)} (line {line + 2})")
        else:
            line_of[row] = line
    known.say_rewritten(path, "images")
    rows = list(line_of)
    return np.array([line_of[row] for row in rows], np.int64), np.array(rows, np.int64)


def _rows_in(path: str | Path, crops: pd.DataFrame) -> NDArray[np.int64]:
    """Which images a file has rows of; the names of columns are not needed for that."""
    frame = read_texts(Path(path))
    known = KnownNames(crops["file_name"].astype(str).tolist())
    found = {known.find(text) for column in frame.columns for text in frame[column]}
    return np.array(sorted(row for row in found if row is not None), np.int64)


def _check_one_each(crops: pd.DataFrame) -> None:
    """Stop where an image has several crops, or none of the images with a name has one."""
    names = crops["file_name"]
    several = names.duplicated()
    if several.any():
        raise SubmissionError(
            f"image {names[several].iloc[0]} has several crops, and image_classes writes one class "
            "an image; set crops.test to images, or choose another format"
        )
    if isinstance(names.dtype, pd.CategoricalDtype) and len(names.cat.categories) > len(names):
        lacking = names.cat.categories.difference(pd.Index(names.astype(str)))
        raise SubmissionError(
            f"{len(lacking)} images have no crop to classify: {listed(lacking, 3)}; set crops.test "
            "to images"
        )


CLASS_FORMATS.register("image_classes", ImageClasses)(
    Format(image_classes_to_submission, read_image_classes_csv, _rows_in)
)
