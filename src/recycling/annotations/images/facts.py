"""What a look at one image file tells, whatever the annotations say of it.

Source of the perceptual hash: `imagehash.phash`, 64 bits from the lowest frequencies of the
image at 32 x 32, https://github.com/JohannesBuchner/imagehash
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from recycling.annotations.images.decoding import (
    EXIF_TURNED,
    UnreadableImageError,
    as_rgb,
    orientation,
    turned,
)
from recycling.errors import one_line
from recycling.limits import FORMATS, TooLargeError, check_tiles, image_bytes, limits
from recycling.placeholders import read_bytes
from recycling.progress import track
from recycling.tables import Column, Dtype, Schema

if TYPE_CHECKING:
    from PIL import Image

FILE_SIZE = Column("file_size", "Int64", "bytes; missing where there is no file", nullable=True)

_DECODED: tuple[tuple[str, Dtype, str], ...] = (
    ("width", "Int64", "pixels, as shown: with the EXIF rotation applied"),
    ("height", "Int64", "pixels, as shown: with the EXIF rotation applied"),
    (
        "phash",
        "string",
        "perceptual hash of the image as shown, 16 hex digits; a flat one has none",
    ),
    ("brightness", "Float64", "mean grey level, 0 to 1"),
    ("contrast", "Float64", "standard deviation of the grey level"),
    ("saturation", "Float64", "mean saturation (HSV), 0 to 1"),
    ("sharpness", "Float64", "variance of the Laplacian of the grey level at 128 x 128 pixels"),
    ("red", "Float64", "mean of the channel, 0 to 1"),
    ("green", "Float64", "mean of the channel, 0 to 1"),
    ("blue", "Float64", "mean of the channel, 0 to 1"),
)
IMAGE_COLUMNS = tuple(
    Column(name, dtype, f"{description}; missing where not decoded", nullable=True)
    for name, dtype, description in _DECODED
)
"""What is known of an image once it is decoded."""

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dng", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"}
)
"""Endings of image files, those that supervision knows, and AVIF."""

UNREAD_SUFFIXES = frozenset(
    {".arw", ".cr2", ".cr3", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".nef",
     ".orf", ".raf", ".rw2"}
)  # fmt: skip
"""Endings of other photographs, which are left out, and told of."""

_LEAST_SIDE = 128  # pixels; an image shrunk to it has the same hash but for 0 to 4 bits
_THUMBNAIL = (128, 128)
_HASHED = (32, 32)  # what the hash is made of
_FLAT = 2  # grey levels of 255 that JPEG may add to a flat image
_BATCH = 4096  # files that wait for a thread at a time


FileFacts: TypeAlias = dict[str, Any]
"""What opening one image file showed: values by column of `FACTS`, those known."""

FACTS = Schema(
    "facts about image files",
    (
        Column("path", "string", "the file's full path", unique=True),
        FILE_SIZE,
        Column("modified", "Int64", "nanoseconds since 1970; missing where no file", nullable=True),
        # "too_large" where the header announces more than Pillow opens at all.
        Column("fault", "string", "missing, unreadable, truncated or too_large", nullable=True),
        Column("detail", "string", "the fault in words", nullable=True),
        Column("sha256", "string", "of the file; missing where it cannot be read", nullable=True),
        Column("orientation", "Int64", "EXIF's number, if it has one", nullable=True),
        *IMAGE_COLUMNS,
    ),
)


def look_at_files(paths: list[Path], *, max_pixels: int) -> Iterator[FileFacts]:
    """Read and decode files in threads, one for each processor core, with a progress bar.

    Not for two threads at a time: what is set about warnings meanwhile holds for the process.

    Args:
        paths: The files.
        max_pixels: Largest image that is decoded, width times height.

    Yields:
        The facts of each file, in order.
    """
    import imagehash  # noqa: F401  # once here, not by every thread at the same time

    if not paths:
        return
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        # Pillow warns of large and odd headers; what matters is reported of the image instead.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        batches = (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH))
        facts = (
            facts
            for batch in batches
            for facts in pool.map(lambda path: look_at_file(path, max_pixels), batch)
        )
        yield from track(facts, "checking images", total=len(paths))


def look_at_file(path: Path, max_pixels: int) -> FileFacts:
    """Read and decode one file.

    Args:
        path: The file.
        max_pixels: Largest image that is decoded, width times height.

    Returns:
        Its facts; of an image of more than `max_pixels` those that its header tells.
    """
    try:
        if path.exists() and not path.is_file():  # reading from a pipe might never end
            return {"fault": "unreadable", "detail": "cannot be opened: not a file"}
        if (size := path.stat().st_size) > (most := image_bytes(max_pixels)):
            detail = f"a file of {size:,} bytes; {max_pixels} pixels have {most:,} at most"
            return {"fault": "too_large", "detail": detail}
        content = read_bytes(path)
    except FileNotFoundError:
        return {"fault": "missing", "detail": f"no file {path.name} in the image folder"}
    except OSError as error:
        return {"fault": "unreadable", "detail": f"cannot be opened: {error.strerror}"}
    except ValueError as error:  # a null character in the name
        return {"fault": "unreadable", "detail": f"cannot be opened: {error}"}
    return {"sha256": hashlib.sha256(content).hexdigest(), **_look_at(content, max_pixels)}


def _look_at(content: bytes, max_pixels: int) -> FileFacts:
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = limits().max_pixels
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        return {"fault": "too_large", "detail": str(error).split(",")[0]}
    except UnidentifiedImageError:
        what = "the file is empty" if not content else "not an image of a known format"
        return {"fault": "unreadable", "detail": what}
    except Exception as error:  # decoders raise whatever they like on damaged headers
        return {"fault": "unreadable", "detail": one_line(error)}
    with image:
        width, height = image.size
        if width * height > max_pixels:
            return {"width": width, "height": height}
        try:
            check_tiles(image, max_pixels)
            written = orientation(image)
            image.load()
            left = orientation(image)  # none where Pillow has turned it, as it does a TIFF
            width, height = image.size[::-1] if left in EXIF_TURNED else image.size
            rgb = as_rgb(image)
            small = turned(rgb.reduce(max(1, min(rgb.size) // _LEAST_SIDE)), left)
        except TooLargeError as error:
            return {"fault": "too_large", "detail": f"{error}", "width": width, "height": height}
        except UnreadableImageError as error:
            fault = {"fault": "unreadable", "detail": f"{error}"}
            return {**fault, "width": width, "height": height}
        except Exception as error:  # likewise, on damaged data
            fault = {"fault": "truncated", "detail": one_line(error)}
            return {**fault, "width": width, "height": height}
    facts = {"orientation": written, "width": width, "height": height}
    return {**facts, "phash": _phash(small), **_looks(small)}


def _phash(upright: Image.Image) -> str | None:
    """The perceptual hash, 16 hex digits; None of an image in which there is nothing to see.

    Of a flat image the hash is that of its noise, and the same for a black and a white one.
    """
    import imagehash
    from PIL.Image import Resampling

    grey = np.asarray(upright.convert("L").resize(_HASHED, Resampling.LANCZOS))
    return None if np.ptp(grey) <= _FLAT else str(imagehash.phash(upright))


def _looks(image: Image.Image) -> dict[str, float]:
    """What an image looks like, in numbers: the last columns of `IMAGE_COLUMNS`."""
    from PIL.Image import Resampling

    thumbnail = image.resize(_THUMBNAIL, Resampling.BOX)
    channels = np.asarray(thumbnail, dtype=np.float64) / 255
    saturation = np.asarray(thumbnail.convert("HSV").getchannel("S"), dtype=np.float64) / 255
    grey = np.asarray(thumbnail.convert("L"), dtype=np.float64) / 255
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    laplacian = neighbours - 4 * grey[1:-1, 1:-1]
    red, green, blue = (float(channel.mean()) for channel in channels.T)
    return {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "saturation": float(saturation.mean()),
        "sharpness": float(laplacian.var()),
        "red": red,
        "green": green,
        "blue": blue,
    }
