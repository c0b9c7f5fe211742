"""How much is read of files that come from outside: `limits` in the parameters, see SECURITY.md."""

from __future__ import annotations

import gzip
import os
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from pydantic import Field

from recycling.placeholders import is_placeholder, read_bytes
from recycling.registry import Settings

if TYPE_CHECKING:
    from PIL import Image

_VARIABLE = "RECYCLING_LIMITS"
"""The environment variable that has them: processes inherit it, however they are started."""

FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP",
)  # fmt: skip
"""What is opened as an image, whatever its name. Pillow knows more, such as EPS, which is a program
that Ghostscript would run."""

_PIECE = 1 << 20  # bytes that are unpacked at a time

LARGEST_ENTRY = 32 << 20
"""Bytes of what a file says of one image or one annotation: 2 million corners of polygons."""

LARGEST_PLANES = 512 << 20
"""Bytes of one image's probabilities: 11 classes on 49 million pixels."""


class Limits(Settings):
    """How much is read of files that come from outside.

    Attributes:
        max_pixels: Largest image that is decoded, width times height; Pillow warns above the same
            figure.
        max_bytes: Most bytes of a COCO file, unpacked where it is gzip.
        links: Whether links in a folder of images or labels may lead out of it. The folder itself
            may be a link.
    """

    max_pixels: int = Field(default=89_478_485, ge=1)
    max_bytes: int = Field(default=4 << 30, ge=1)
    links: Literal["inside", "anywhere"] = "inside"


class TooLargeError(ValueError):
    """A file holds more than `Limits` allow: how much, and the limit.

    Attributes:
        size: Width and height of an image, if its header told them.
    """

    size: tuple[int, int] | None = None


def limits() -> Limits:
    """Those that hold in this process."""
    return _parsed(os.environ.get(_VARIABLE, "{}"))


def set_limits(own: Limits) -> None:
    """Let limits hold in this process and in those that it starts."""
    os.environ[_VARIABLE] = own.model_dump_json()


@cache
def _parsed(text: str) -> Limits:
    return Limits.model_validate_json(text)


def open_image(file: Path | str | IO[bytes]) -> Image.Image:
    """Open an image, of which nothing is decoded yet.

    Args:
        file: The file, which is fetched where it is a placeholder of one elsewhere.

    Raises:
        TooLargeError: Its header announces more than `max_pixels`.
    """
    from PIL import Image

    most = limits().max_pixels
    Image.MAX_IMAGE_PIXELS = most  # Pillow itself opens none of twice as many
    try:
        image = _opened(file)
    except Image.DecompressionBombError as error:
        raise TooLargeError(str(error).split(",")[0]) from error
    width, height = image.size
    if width * height > most:
        image.close()
        refused = TooLargeError(f"{width} x {height} is more than {most} pixels")
        refused.size = width, height
        raise refused
    return image


def _opened(file: Path | str | IO[bytes]) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    if not isinstance(file, str | Path):
        return Image.open(file, formats=FORMATS)
    if not is_placeholder(file):
        with suppress(PermissionError, UnidentifiedImageError):
            return Image.open(file, formats=FORMATS)
        if not is_placeholder(file):  # it may have become one meanwhile
            return Image.open(file, formats=FORMATS)
    return Image.open(BytesIO(read_bytes(Path(file))), formats=FORMATS)


def unpacked(content: bytes) -> bytes:
    """What a gzip file holds.

    It is unpacked twice, of which the first time is to count: a bomb takes no memory.

    Args:
        content: The file's.

    Raises:
        TooLargeError: It holds more than `max_bytes` bytes.
        OSError, EOFError, zlib.error: It is damaged.

    >>> unpacked(gzip.compress(b"{}"))
    b'{}'
    """
    size = 0
    with gzip.GzipFile(fileobj=BytesIO(content)) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            check_bytes(size)
    return gzip.decompress(content)


def check_bytes(size: int) -> None:
    """Refuse what is larger than `max_bytes`.

    Raises:
        TooLargeError: It is.
    """
    if size > (most := limits().max_bytes):
        raise TooLargeError(f"more than {most:,} bytes")
