"""CSV files of boxes, as AI Stages "trash detection" takes them.

Columns ``PredictionString,image_id``: the image is its file name, the string is
``label score x_min y_min x_max y_max`` for each box, where the label is the category's row in
the table of categories, from 0. An image without boxes has a row with an empty string.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.errors import Faults, cut, visible
from recycling.predictions.core import DETECTIONS, Detections, SubmissionError
from recycling.predictions.formats.rows import (
    MissingImages,
    Rows,
    find_rows,
    images_in,
    kind_of_word,
    opened,
)
from recycling.predictions.submission import BOX_FORMATS, BoxFormat, Format


class AistagesDetection(BoxFormat):
    """AI Stages "trash detection": a row an image, six numbers a box."""

    format: Literal["aistages_detection"] = "aistages_detection"


_FIELDS = 6  # numbers that describe a box
_NUMBERS = ["score", "x_min", "y_min", "x_max", "y_max"]


def read_detections_csv(
    path: str | Path,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    missing_images: MissingImages = "error",
) -> Detections:
    """Read boxes from a competition's file.

    Args:
        path: The CSV file.
        images: The images to predict, with `image_id` and `file_name`.
        categories: The categories, with `category_id`; their order is the order of labels.
        missing_images: Whether an image without a row is an error, or has no boxes; then one
            warning counts them.

    Returns:
        The boxes, in the order of the images table.

    Raises:
        SubmissionError: One line that counts all faults of the file by kind and names the first
            images of each.
    """
    path = Path(path)
    faults = Faults(path, SubmissionError)
    content = opened(path)
    rows = find_rows(content, path, images, missing_images, faults)
    boxes, row = _boxes(content, rows, faults)
    _check_boxes(boxes, row, rows, len(categories), faults)
    faults.raise_if_any()
    category_ids = categories["category_id"].to_numpy(dtype=np.int64)
    table = pd.DataFrame(
        {
            "image_id": images["image_id"].to_numpy(dtype=np.int64)[rows.row[row]],
            "category_id": category_ids[boxes[:, 0].astype(np.int64)],
            **{name: boxes[:, 1 + column] for column, name in enumerate(_NUMBERS)},
        }
    )
    return Detections(DETECTIONS.conform(table, where=str(path)))


def detections_to_submission(
    detections: Detections, images: pd.DataFrame, categories: pd.DataFrame
) -> pd.DataFrame:
    """Write boxes as the competition wants them, as a table.

    Each number is the shortest text that reads back as the same one.

    Args:
        detections: The boxes; those of one image keep their order. Masks are left out.
        images: The images, with `image_id` and `file_name`.
        categories: The categories, with `category_id`; their order is the order of labels.

    Returns:
        ``PredictionString, image_id``, one row an image, also where it has no box.

    Raises:
        TableError: The detections are not a table of detections.
        SubmissionError: A box is on an image or of a category that is not in the tables.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = DETECTIONS.conform(detections, where="detections")
    row = _rows_of(table["image_id"], images["image_id"], "image", "images")
    label = _rows_of(table["category_id"], categories["category_id"], "category", "categories")
    order = np.argsort(row, kind="stable")
    columns = [pa.array(label[order])]
    columns += [pa.array(table[name].to_numpy()[order]) for name in _NUMBERS]
    texts = [pc.cast(column, pa.string()) for column in columns]
    boxes = pc.binary_join_element_wise(*texts, " ")
    starts = np.searchsorted(row[order], np.arange(len(images) + 1))
    of_image = pa.LargeListArray.from_arrays(pa.array(starts), boxes)
    return pd.DataFrame(
        {
            "PredictionString": pd.Series(
                pc.binary_join(of_image, " ").to_pylist(), dtype="string"
            ),
            "image_id": images["file_name"].astype("string").reset_index(drop=True),
        }
    )


def _rows_of(ids: pd.Series, known: pd.Series, what: str, plural: str) -> NDArray[np.int64]:
    """The row of each id in a table's column."""
    rows = np.asarray(pd.Index(known).get_indexer(pd.Index(ids)), dtype=np.int64)
    unknown = rows < 0
    if unknown.any():
        row = int(unknown.argmax())
        raise SubmissionError(
            f"detections: row {row}: {what} {ids.iloc[row]} is not in the table of {plural}; "
            f"{int(unknown.sum())} of {len(ids)} rows are like that"
        )
    return rows


def _boxes(
    content: mmap.mmap, rows: Rows, faults: Faults
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The numbers of all boxes, (boxes, 6), and whose they are: (boxes,) indices into `rows`.

    Rows that are cut off, or hold what is no number, are told to `faults` and left out.
    """
    pieces = [content[start:stop] for start, stop in zip(rows.start, rows.stop, strict=True)]
    joined = b" ".join(pieces)
    row_starts = np.cumsum([0, *(len(piece) + 1 for piece in pieces)])
    letter = np.frombuffer(joined, np.uint8) != ord(" ")
    begins = letter.copy()
    begins[1:] &= ~letter[:-1]
    words = np.flatnonzero(begins)
    bounds = np.searchsorted(words, row_starts)
    counts = np.diff(bounds)
    row_of_word = np.repeat(np.arange(len(rows)), counts)
    numbers, none = _numbers(joined, words)
    whole = counts % _FIELDS == 0
    readable = np.ones(len(rows), dtype=np.bool_)
    readable[row_of_word[none]] = False
    faults.add_where(
        readable & ~whole,
        f"a row is cut off, each box takes {_FIELDS} numbers "
        "(label, score, x_min, y_min, x_max, y_max)",
        lambda row: f"{rows.name_of(row)} ({counts[row]} numbers)",
    )
    for word in np.flatnonzero(none):
        row, text = row_of_word[word], cut(_word(joined, words, word), 40)
        place = f"{rows.name_of(row)} ({visible(text)}, item {word - bounds[row]} of its row)"
        faults.add(kind_of_word(text, "not a number"), place)
    kept = (readable & whole)[row_of_word]
    return numbers[kept].reshape(-1, _FIELDS), row_of_word[kept][::_FIELDS]


def _numbers(
    joined: bytes, words: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The words that begin at the given bytes as numbers, and which of them are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    none = np.zeros(len(words), dtype=np.bool_)
    if len(words) == 0:
        return np.empty(0), none
    offsets = pa.array(np.append(words, len(joined)))
    padded = pa.LargeStringArray.from_buffers(
        len(words), offsets.buffers()[1], pa.py_buffer(joined)
    )
    try:
        cast = pc.cast(pc.ascii_rtrim(padded, characters=" "), pa.float64())
        return np.asarray(cast.to_numpy(zero_copy_only=False)), none
    except pa.ArrowInvalid:
        numbers = np.zeros(len(words))
    # Something is no number, or one of a rare form such as "+1": each is looked at.
    for word in range(len(words)):
        try:
            numbers[word] = float(_word(joined, words, word))
        except ValueError:
            none[word] = True
    return numbers, none


def _word(joined: bytes, words: NDArray[np.int64], word: int) -> str:
    stop = joined.find(b" ", words[word])
    return joined[words[word] : len(joined) if stop < 0 else stop].decode(errors="replace")


def _check_boxes(
    boxes: NDArray[np.float64],
    row: NDArray[np.int64],
    rows: Rows,
    n_categories: int,
    faults: Faults,
) -> None:
    """Note each box that has a fault, once, under the first that it has."""
    label, score, x_min, y_min, x_max, y_max = boxes.T

    def place(box: int, what: Callable[[int], str]) -> str:
        number = box - int(np.searchsorted(row, row[box]))
        return f"{rows.name_of(row[box])} (box {number}: {what(box)})"

    def strange(box: int) -> str:
        names = ("label", *_NUMBERS)
        return next(
            f"{name} {v:g}" for name, v in zip(names, boxes[box], strict=True) if not np.isfinite(v)
        )

    def sides(box: int) -> str:
        axis = "x" if x_min[box] > x_max[box] else "y"
        low, high = (x_min, x_max) if axis == "x" else (y_min, y_max)
        return f"{axis}_min {_shown(low[box])}, {axis}_max {_shown(high[box])}"

    good = np.ones(len(boxes), dtype=np.bool_)
    checks: tuple[tuple[NDArray[np.bool_], str, Callable[[int], str]], ...] = (
        (np.any(~np.isfinite(boxes), axis=1), "a number is not finite", strange),
        (
            (label < 0) | (label >= n_categories) | (label != np.floor(label)),
            f"no such label, they go from 0 to {n_categories - 1}",
            lambda box: f"label {_shown(label[box])}",
        ),
        (
            (score < 0) | (score > 1),
            _kind_of_scores(score),
            lambda box: f"score {_shown(score[box])}",
        ),
        (
            (x_min > x_max) | (y_min > y_max),
            "the sides of a box are the wrong way round, they are x_min y_min x_max y_max",
            sides,
        ),
    )
    for bad, kind, what in checks:
        faults.add_where(good & bad, kind, partial(place, what=what))
        good &= ~bad


def _kind_of_scores(score: NDArray[np.float64]) -> str:
    """What to say of scores that are not from 0 to 1, with the likely cause where there is one."""
    if len(score) and (score < 0).any():
        return "a score is from 0 to 1, these may be logits: apply a sigmoid"
    if len(score) and 2 < score.max() <= 100:
        return "a score is from 0 to 1, these may be percentages: divide them by 100"
    return "a score is from 0 to 1"


def _shown(number: float) -> str:
    """A number with all its digits.

    >>> _shown(1.0000001), _shown(12.0)
    ('1.0000001', '12')
    """
    return repr(float(number)).removesuffix(".0")


BOX_FORMATS.register("aistages_detection", AistagesDetection)(
    Format(detections_to_submission, read_detections_csv, images_in, row_an_image=True)
)
