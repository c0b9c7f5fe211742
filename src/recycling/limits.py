"""How much is read of files that come from outside: `limits` in the parameters, see SECURITY.md."""

from __future__ import annotations

import gzip
import os
import stat
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from pydantic import Field

from recycling.placeholders import is_placeholder, read_bytes
from recycling.registry import Settings

if TYPE_CHECKING:
    from PIL import Image

_VARIABLE = "RECYCLING_LIMITS"
"""The environment variable that has them: processes inherit it, however they are started."""

FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP",
)  # fmt: skip
"""What is opened as an image, whatever its name. Pillow knows more, such as EPS, which is a program
that Ghostscript would run, and JPEG 2000, whose tiles may be of any size, whatever the image's."""

_PIECE = 1 << 20  # bytes that are unpacked at a time
_TABLE_SHARE = 32  # of `max_bytes`: a table of texts takes many times the file's bytes
_VALUE_BYTES = 100  # that a value of JSON takes, or its list, or half its mapping
_TIFF_SIDES = (256, 257, 322, 323)  # tags: width and height of the image, and of a tile

LARGEST_ENTRY = 32 << 20
"""Bytes of what a file says of one image or one annotation: 2 million corners of polygons."""

LARGEST_NAMES = 1 << 20
"""Bytes of a file that names classes: a name of 50 letters for each of 20,000."""

LARGEST_FACTS = 8 << 20
"""Bytes of JSON that says what a checkpoint is."""

LARGEST_PLANES = 512 << 20
"""Bytes of one image's probabilities: 11 classes on 49 million pixels."""


class Limits(Settings):
    """How much is read of files that come from outside.

    Attributes:
        max_pixels: Largest image that is decoded, width times height; Pillow warns above the same
            figure.
        max_bytes: Most bytes of a COCO file, unpacked where it is gzip. Of other files that are
            parsed as a whole, shares of it.
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
        TooLargeError: Its header announces more than `max_pixels`, or the file has more bytes than
            such an image.
        OSError: It is none, or cannot be read.
    """
    from PIL import Image

    most = limits().max_pixels
    Image.MAX_IMAGE_PIXELS = most  # Pillow itself opens none of twice as many
    if isinstance(file, str | Path):
        facts = Path(file).stat()
        if not stat.S_ISREG(facts.st_mode):  # reading from a pipe might never end
            raise OSError("not a file")
        check_bytes(facts.st_size, image_bytes(most))
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
    check_tiles(image, most)
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


def image_bytes(max_pixels: int) -> int:
    """Most bytes of the file of an image of so many pixels: four channels of 16 bits, and a rest.

    Args:
        max_pixels: Width times height.
    """
    return 8 * max_pixels + (1 << 24)


def check_tiles(image: Image.Image, most: int) -> None:
    """Refuse a TIFF whose tiles hold far more than the image: each is decoded as a whole.

    Args:
        image: As Pillow opened it, of any format.
        most: Pixels of a tile, and half of those of all tiles.

    Raises:
        TooLargeError: A tile has more, or all of them have.
    """
    tags = getattr(image, "tag_v2", {})
    sides: list[Any] = [tags.get(tag) for tag in _TIFF_SIDES]
    if not all(isinstance(side, int) and side > 0 for side in sides):
        return  # in strips, which end with the image
    width, height, tile_width, tile_height = sides
    n_tiles = -(-width // tile_width) * -(-height // tile_height)
    if (tile := tile_width * tile_height) > most or n_tiles * tile > 2 * most:
        image.close()
        raise TooLargeError(
            f"{n_tiles} tiles of {tile_width} x {tile_height} are far more than {most} pixels"
        )


def unpacked(content: bytes, most: int | None = None) -> bytes:
    """What a gzip file holds.

    It is unpacked twice, of which the first time is to count: a bomb takes no memory.

    Args:
        content: The file's.
        most: Bytes; by default `max_bytes`.

    Raises:
        TooLargeError: It holds more.
        OSError, EOFError, zlib.error: It is damaged.

    >>> unpacked(gzip.compress(b"{}"))
    b'{}'
    """
    size = 0
    with gzip.GzipFile(fileobj=BytesIO(content)) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            check_bytes(size, most)
    return gzip.decompress(content)


def check_bytes(size: int, most: int | None = None) -> None:
    """Refuse what is larger than it may be.

    Args:
        size: Bytes.
        most: Bytes; by default `max_bytes`.

    Raises:
        TooLargeError: It is larger.
    """
    if size > (most := limits().max_bytes if most is None else most):
        raise TooLargeError(f"more than {most:,} bytes")


def check_table(path: Path) -> None:
    """Refuse a CSV file that is read as a whole and is larger than a share of `max_bytes`.

    Raises:
        TooLargeError: It is larger.
        OSError: It is not there.
    """
    if path.stat().st_size > (most := limits().max_bytes // _TABLE_SHARE):
        raise TooLargeError(
            f"more than {most:,} bytes, max_bytes of limits by {_TABLE_SHARE}; if it is right, "
            "raise that"
        )


def check_json(content: bytes) -> None:
    """Refuse JSON that takes more memory than a quarter of `max_bytes` once it is parsed.

    Raises:
        TooLargeError: It does.
    """
    n_values = sum(map(content.count, (b",", b"[", b"{")))
    if 4 * len(content) + _VALUE_BYTES * n_values > (most := limits().max_bytes // 4):
        raise TooLargeError(
            f"would take more than {most:,} bytes of memory, a quarter of max_bytes of limits; if "
            "it is right, raise that"
        )
