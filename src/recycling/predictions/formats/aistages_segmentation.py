"""CSV files of label maps, as AI Stages "trash segmentation" takes them.

Columns ``image_id,PredictionString``: the image is its file name, the string is one class number a
pixel, row by row, of the map brought to 256 x 256 (nearest pixel); 0 is background and i + 1 the
i-th category, as in a label map.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from recycling.errors import Faults, cut, visible
from recycling.predictions.core import IGNORE, LabelMap, LabelMaps, SubmissionError
from recycling.predictions.formats.rows import (
    MissingImages,
    Rows,
    find_rows,
    images_in,
    kind_of_word,
    opened,
)
from recycling.predictions.submission import MASK_FORMATS, Format, MaskFormat

_SPACE = np.uint8(255)  # stands for a space among class numbers, which are below it
_WORD = 40  # characters of a word that a message shows
_WORDS = np.array([f"{number} ".encode() for number in range(256)], dtype="S4")


class AistagesSegmentation(MaskFormat):
    """AI Stages "trash segmentation": a row an image, one class number a pixel of a square map.

    Attributes:
        size: Side of the square that each map is brought to, pixels.
    """

    format: Literal["aistages_segmentation"] = "aistages_segmentation"
    size: int = Field(256, ge=1)


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
        them to bring them to the images' sizes.

    Raises:
        SubmissionError: One line that counts all faults of the file by kind and names the first
            images of each. When a map is asked for: the file has changed.
    """
    path = Path(path)
    faults, n_classes = Faults(path, SubmissionError), _n_classes(categories, size)
    content, state = opened(path), _state(path)
    rows = find_rows(content, path, images, missing_images, faults)
    for number in range(len(rows)):
        _numbers_of(_row(content, rows, number), n_classes, size, rows.name_of(number), faults)
    faults.raise_if_any()
    image_ids = images["image_id"].to_numpy(dtype=np.int64)
    spans = {
        int(image_ids[row]): (number, int(start), int(stop))
        for number, (row, start, stop) in enumerate(
            zip(rows.row, rows.start, rows.stop, strict=True)
        )
    }

    def read(image_id: int) -> LabelMap:
        if image_id not in spans:
            return np.full((size, size), IGNORE, dtype=np.uint8)
        number, start, stop = spans[image_id]
        text = _bytes_of(path, state, start, stop)
        numbers = _numbers_of(text, n_classes, size, rows.name_of(number), faults)
        faults.raise_if_any()
        assert numbers is not None
        return numbers.reshape(size, size)

    return LabelMaps(image_ids.tolist(), read)


def label_maps_to_submission(
    label_maps: LabelMaps,
    images: pd.DataFrame,
    categories: pd.DataFrame,
    *,
    size: int = 256,
) -> pd.DataFrame:
    """Write label maps as the competition wants them, as a table.

    Args:
        label_maps: One map an image.
        images: The images, with `image_id` and `file_name`.
        categories: Not looked at, as maps hold their numbers.
        size: Side of the square that each map is brought to, pixels.

    Returns:
        ``image_id, PredictionString``, one row an image.

    Raises:
        SubmissionError: An image has no map, or a map holds 255 ("ignore"), which is no class.

    Example:
        >>> maps = LabelMaps([4], lambda image_id: np.array([[0, 1], [1, 2]], np.uint8))
        >>> images = pd.DataFrame({"image_id": [4], "file_name": ["test/0000.jpg"]})
        >>> categories = pd.DataFrame({"category_id": [3, 7]})
        >>> table = label_maps_to_submission(maps, images, categories, size=2)
        >>> print(table.to_csv(index=False).strip())
        image_id,PredictionString
        test/0000.jpg,0 1 1 2
    """
    strings = [
        _text(label_maps, int(image_id), str(file_name), size).decode("ascii")
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


def _numbers_of(
    text: bytes, n_classes: int, size: int, name: str, faults: Faults
) -> NDArray[np.uint8] | None:
    """The class numbers of one row, (size * size,); None where it has a fault, which is noted.

    Args:
        text: The row.
        n_classes: Numbers are below this.
        size: Side of the map, pixels.
        name: What to call the row in a message.
        faults: Takes what is wrong.
    """
    numbers = _usual_numbers(text, n_classes, size * size)
    return _checked_numbers(text, n_classes, size, name, faults) if numbers is None else numbers


def _usual_numbers(text: bytes, n_classes: int, n_pixels: int) -> NDArray[np.uint8] | None:
    """Numbers of one or two digits with one space between them; None for any other text.

    It takes a fifth of the time of `numpy.fromstring`, which checks nothing. pyarrow, as a CSV of
    a number a line or by splitting and casting, takes as long as `numpy.fromstring`.

    >>> _usual_numbers(b"0 10 3 0", 11, 4).tolist()
    [0, 10, 3, 0]
    >>> _usual_numbers(b"0  10 3 0", 11, 4) is _usual_numbers(b"0 11 3 0", 11, 4) is None
    True
    """
    letters = np.frombuffer(text + b" ", dtype=np.uint8)
    digits = letters - np.uint8(ord("0"))
    is_digit, is_space = digits <= 9, letters == ord(" ")
    if not (is_digit | is_space).all():
        return None
    # A digit before a digit: the tens go into the digit after them, and out of the text.
    tens = np.flatnonzero(is_digit[:-1] & is_digit[1:])
    if (np.diff(tens) == 1).any():  # three digits
        return None
    digits[tens + 1] += 10 * digits[tens]
    digits |= is_space * _SPACE
    pairs = np.delete(digits, tens)
    if len(pairs) != 2 * n_pixels:
        return None
    # The number is the lower byte of a pair, the space the upper one. What is left of any other
    # pair is no class: the difference wraps around.
    numbers = pairs.view("<u2") - (np.uint16(_SPACE) << np.uint16(8))
    return numbers.astype(np.uint8) if (numbers < n_classes).all() else None


def _checked_numbers(
    text: bytes, n_classes: int, size: int, name: str, faults: Faults
) -> NDArray[np.uint8] | None:
    """Numbers of any length with any spaces around them, word by word."""
    words = [word for word in text.split(b" ") if word]

    def note(kind: str, item: int) -> None:
        word = cut(words[item].decode(errors="replace"), _WORD)
        kind = kind_of_word(word, kind)
        faults.add(kind, f"{name} ({visible(word)}, item {item} of its row)")

    strange = [item for item, word in enumerate(words) if not word.isdigit()]
    if strange:
        note("not a class number, digits with a space between are", strange[0])
        return None
    if len(words) != size * size:
        kind = f"a row does not hold {size} x {size} = {size * size} class numbers"
        faults.add(kind, f"{name} ({len(words)})")
        return None
    # Floats: a number of a thousand digits is infinite, and so no class.
    numbers = np.array([float(word) for word in words])
    if (numbers >= n_classes).any():
        kind = f"no such class, they go from 0 (background) to {n_classes - 1}"
        note(kind, int((numbers >= n_classes).argmax()))
        return None
    return numbers.astype(np.uint8)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _row(content: mmap.mmap, rows: Rows, number: int) -> bytes:
    return content[int(rows.start[number]) : int(rows.stop[number])]


def _bytes_of(path: Path, state: tuple[int, int], start: int, stop: int) -> bytes:
    """Some bytes of a file that has not changed since it was checked."""
    if not path.is_file() or _state(path) != state:
        raise SubmissionError(f"{path}: has changed since it was checked; start again")
    with path.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)


def _text(label_maps: LabelMaps, image_id: int, file_name: str, size: int) -> bytes:
    """The class numbers of one image, with a space between."""
    if image_id not in label_maps:
        raise SubmissionError(
            f"label maps: image {file_name}: no label map; predict on every image"
        )
    small = _resized(label_maps[image_id], size).reshape(-1)
    ignored = int((small == IGNORE).sum())
    if ignored:
        raise SubmissionError(
            f"label maps: image {file_name}: {ignored} pixels are {IGNORE} "
            '("ignore"), which is no class; give each pixel a class'
        )
    # Words of four bytes, of which the short ones end in zeros.
    return _WORDS[small].tobytes().translate(None, b"\0")[:-1]


def _resized(label_map: LabelMap, size: int) -> LabelMap:
    if label_map.shape == (size, size):
        return label_map
    import cv2

    # The competition's own baseline resizes masks with albumentations, which is this.
    return np.asarray(
        cv2.resize(label_map, (size, size), interpolation=cv2.INTER_NEAREST), dtype=np.uint8
    )


MASK_FORMATS.register("aistages_segmentation", AistagesSegmentation)(
    Format(label_maps_to_submission, read_label_maps_csv, images_in)
)
