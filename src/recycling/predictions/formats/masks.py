"""CSV files of label maps, as AI Stages "trash segmentation" takes them.

Columns ``image_id,PredictionString``: the image is its file name, the string is one class number a
pixel, row by row, of the map brought to 256 x 256 (nearest pixel); 0 is background and i + 1 the
i-th category, as in a label map.
"""

from __future__ import annotations

import csv
import io
import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.errors import Faults
from recycling.predictions.core import IGNORE, LabelMap, LabelMaps, SubmissionError
from recycling.predictions.formats.rows import (
    MissingImages,
    Rows,
    find_rows,
    opened,
    written_whole,
)

_Bytes: TypeAlias = NDArray[np.uint8]
_Finding: TypeAlias = tuple[int, int]  # what `_text_kernels.parse` says


def read_label_maps_csv(
    path: str | Path,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    size: int = 256,
    missing_images: MissingImages = "error",
) -> LabelMaps:
    """Read label maps from a competition's file.

    The whole file is checked at once; a map is read again when it is asked for, so that memory does
    not grow with the number of images.

    Args:
        path: The CSV file, which has to stay as it is as long as maps are asked for.
        images: The images to predict, with `image_id` and `file_name`.
        categories: The categories; class numbers go up to their number.
        size: Side of the square maps, pixels.
        missing_images: Whether an image without a row is an error, or has a map of 255 ("ignore"),
            which leaves it to the votes of others; then one warning counts them.

    Returns:
        One map of (size, size) an image, in the order of the images table. It is left to who uses
        them to bring them to the pictures' sizes.

    Raises:
        SubmissionError: One line that counts all faults of the file by kind and names the first
            images of each. When a map is asked for: the file has changed.
    """
    path = Path(path)
    faults, n_classes = Faults(path, SubmissionError), _n_classes(categories, size)
    content, state = opened(path), _state(path)
    rows = find_rows(content, path, images, missing_images, faults)
    _parse_rows(content, rows, n_classes, size, faults, None)
    faults.raise_if_any()
    image_ids = images["image_id"].to_numpy(dtype=np.int64)
    spans = {
        int(image_ids[row]): (int(start), int(stop))
        for row, start, stop in zip(rows.row, rows.start, rows.stop, strict=True)
    }

    def read(image_id: int) -> LabelMap:
        numbers = np.full(size * size, IGNORE, dtype=np.uint8)
        if image_id in spans:
            _parse(_bytes_of(path, state, *spans[image_id]), n_classes, numbers)
        return numbers.reshape(size, size)

    return LabelMaps([int(image_id) for image_id in image_ids], read)


def read_label_map_stack(
    path: str | Path,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    size: int = 256,
    missing_images: MissingImages = "error",
) -> NDArray[np.uint8]:
    """Read all label maps of a competition's file at once.

    Args:
        path: The CSV file.
        images: The images to predict, with `file_name`.
        categories: The categories; class numbers go up to their number.
        size: Side of the square maps, pixels.
        missing_images: As for `read_label_maps_csv`.

    Returns:
        (images, size, size), in the order of the images table; 837 maps of 256 x 256 take 55 MB.

    Raises:
        SubmissionError: One line that counts all faults of the file by kind and names the first
            images of each.
    """
    path = Path(path)
    faults, n_classes = Faults(path, SubmissionError), _n_classes(categories, size)
    maps = np.empty((len(images), size, size), dtype=np.uint8)
    content = opened(path)
    rows = find_rows(content, path, images, missing_images, faults)
    _parse_rows(content, rows, n_classes, size, faults, maps)
    faults.raise_if_any()
    maps[np.setdiff1d(np.arange(len(images)), rows.row)] = IGNORE
    return maps


def write_label_maps_csv(
    label_maps: LabelMaps, path: str | Path, images: pd.DataFrame, *, size: int = 256
) -> None:
    """Write label maps to a competition's file, which appears whole or not at all.

    One map is in memory at a time.

    Args:
        label_maps: One map an image.
        path: The CSV file.
        images: The images, with `image_id` and `file_name`.
        size: Side of the square that each map is brought to, pixels.

    Raises:
        SubmissionError: An image has no map, or a map holds 255 ("ignore"), which is no class.
    """
    with written_whole(Path(path)) as file:
        file.write(b"image_id,PredictionString\n")
        for image_id, file_name in zip(images["image_id"], images["file_name"], strict=True):
            text = _text(label_maps, int(image_id), str(file_name), size, str(path))
            file.write(_field(str(file_name)) + b",")
            file.write(text)
            file.write(b"\n")


def label_maps_to_submission(
    label_maps: LabelMaps,
    images: pd.DataFrame,
    size: int = 256,
    *,
    where: str = "label maps",
) -> pd.DataFrame:
    """Write label maps as the competition wants them, as a table.

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
    strings = [
        bytes(_text(label_maps, int(image_id), str(file_name), size, where)).decode("ascii")
        for image_id, file_name in zip(images["image_id"], images["file_name"], strict=True)
    ]
    return pd.DataFrame(
        {
            "image_id": images["file_name"].astype("string").reset_index(drop=True),
            "PredictionString": pd.Series(strings, dtype="string"),
        }
    )


def _n_classes(categories: pd.DataFrame, size: int) -> int:
    """How many classes there are, the background among them, once both numbers were checked."""
    if size < 1:
        raise SubmissionError(f"maps of {size} x {size} pixels; give a size from 1 up")
    if len(categories) >= IGNORE:
        raise SubmissionError(
            f"{len(categories)} categories; a label map has room for {IGNORE - 1}, leave some out"
        )
    return len(categories) + 1


def _parse_rows(
    content: mmap.mmap,
    rows: Rows,
    n_classes: int,
    size: int,
    faults: Faults,
    maps: NDArray[np.uint8] | None,
) -> None:
    """Check all rows, and fill `maps`, (images, size, size), where it is given."""
    text = np.frombuffer(content, dtype=np.uint8)

    def parse(numbers: range) -> list[_Finding]:
        own = np.empty(size * size, dtype=np.uint8)
        return [
            _parse(
                text[rows.start[number] : rows.stop[number]],
                n_classes,
                own if maps is None else maps[rows.row[number]].reshape(-1),
            )
            for number in numbers
        ]

    findings = _in_threads(len(rows), parse)
    _note_findings(text, findings, rows, n_classes, size, faults)


def _in_threads(n_rows: int, work: Callable[[range], list[_Finding]]) -> list[_Finding]:
    """Do the rows in one run a thread."""
    n_threads = max(1, min(os.cpu_count() or 1, n_rows))
    bounds = np.linspace(0, n_rows, n_threads + 1).astype(int).tolist()
    runs = [range(start, stop) for start, stop in pairwise(bounds)]
    with ThreadPoolExecutor(n_threads) as pool:
        return [finding for findings in pool.map(work, runs) for finding in findings]


def _parse(text: _Bytes, n_classes: int, numbers: _Bytes) -> _Finding:
    from recycling.predictions.formats import _text_kernels

    if _text_kernels.parse_plain(text, n_classes, numbers):
        return _text_kernels.GOOD, len(numbers)
    finding: _Finding = _text_kernels.parse(text, n_classes, numbers)
    return finding


def _note_findings(
    text: _Bytes,
    findings: list[_Finding],
    rows: Rows,
    n_classes: int,
    size: int,
    faults: Faults,
) -> None:
    from recycling.predictions.formats import _text_kernels

    for number, (fault, value) in enumerate(findings):
        if fault == _text_kernels.GOOD:
            continue
        place = rows.place(number)
        if fault == _text_kernels.WRONG_COUNT:
            kind = f"a row does not hold {size} x {size} = {size * size} class numbers"
            faults.add(kind, f"{place} ({value})")
            continue
        word = text[rows.start[number] : rows.stop[number]].tobytes().split()[value]
        item = f"{place} ({word.decode(errors='replace')[:20]!r}, item {value} of its row)"
        if fault == _text_kernels.NO_NUMBER:
            faults.add("not a class number, digits with a space between are", item)
        else:
            faults.add(f"no such class, they go from 0 (background) to {n_classes - 1}", item)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _bytes_of(path: Path, state: tuple[int, int], start: int, stop: int) -> _Bytes:
    """Some bytes of a file that has not changed since it was checked, read-only."""
    if not path.is_file() or _state(path) != state:
        raise SubmissionError(f"{path}: has changed since it was checked; start again")
    with path.open("rb") as file:
        file.seek(start)
        return np.frombuffer(file.read(stop - start), dtype=np.uint8)


def _text(
    label_maps: LabelMaps, image_id: int, file_name: str, size: int, where: str
) -> memoryview:
    """The class numbers of one image, with a space between."""
    from recycling.predictions.formats import _text_kernels

    if image_id not in label_maps:
        raise SubmissionError(f"{where}: image {file_name}: no label map; predict on every image")
    # A copy, since numba compiles a second kernel for read-only arrays.
    small = np.array(_resized(label_maps[image_id], size), order="C").reshape(-1)
    ignored = int((small == IGNORE).sum())
    if ignored:
        raise SubmissionError(
            f"{where}: image {file_name}: {ignored} pixels are {IGNORE} "
            '("ignore"), which is no class; give each pixel a class'
        )
    text = np.empty(4 * len(small), dtype=np.uint8)
    length = _text_kernels.print_numbers(small, text)
    return text[: length - 1].data


def _field(text: str) -> bytes:
    """A field of a CSV file, in quotes where it needs them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text])
    return line.getvalue().encode()


def _resized(label_map: LabelMap, size: int) -> LabelMap:
    if label_map.shape == (size, size):
        return label_map
    import cv2

    # The competition's own baseline resizes masks with albumentations, which is this.
    return np.asarray(
        cv2.resize(label_map, (size, size), interpolation=cv2.INTER_NEAREST), dtype=np.uint8
    )
