"""The one way in which image files are decoded: upright, RGB, 8 bits.

Checks, readers of annotation files, trainings and drawings all see the size and the orientation
that this module gives a file, whatever its format.
"""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recycling.limits import TooLargeError, open_image

if TYPE_CHECKING:
    from PIL import Image

EXIF_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

_EXIF_ORIENTATION = 0x0112


class UnreadableImageError(ValueError):
    """A file is no image that can be read: one line, what is wrong with it."""


def read_image(path: str | Path, halvings: int = 0) -> NDArray[np.uint8]:
    """An image as a viewer shows it, with the orientation of its EXIF block applied.

    Of a file of several images the first is read. Transparency is left out; 16 bits a channel
    become 8 by leaving out the lower ones.

    Args:
        path: The file.
        halvings: How often its sides are halved. A JPEG is decoded so, up to three times, from a
            part of its frequencies, which takes a third of the time and less.

    Returns:
        (H, W, 3) RGB; halved, `halved` says what its size is.

    Raises:
        FileNotFoundError: There is no such file.
        UnreadableImageError: It is no image of a known format, damaged, larger than `Limits`
            allow, or its pixels are of a type that has no black and no white (float, int32).

    >>> from PIL import Image
    >>> exif = Image.Exif()
    >>> exif[0x0112] = 6
    >>> path = getfixture("tmp_path") / "a.jpg"
    >>> Image.new("RGB", (4, 2)).save(path, exif=exif)
    >>> read_image(path).shape, image_size(path)
    ((4, 2, 3), (2, 4))
    """
    return _decoded(path, str(path), halvings)


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """As `read_image`, of the bytes of a file.

    Args:
        content: The bytes.
        name: What to call the file in messages.

    Returns:
        (H, W, 3) RGB.

    Raises:
        UnreadableImageError: As `read_image` raises it.
    """
    return _decoded(BytesIO(content), name)


def halved(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """An image of which each side is half as long, `times` times; each pixel counts.

    Args:
        image: (H, W, 3). Where a side is no multiple, its last pixels are repeated.
        times: How often.

    Returns:
        (H / 2**times, W / 2**times, 3), rounded up.

    >>> halved(np.zeros((30, 61, 3), np.uint8), 2).shape
    (8, 16, 3)
    """
    if not times:
        return image
    import cv2

    height, width = (-(-side // 2**times) for side in image.shape[:2])
    below, right = height * 2**times - image.shape[0], width * 2**times - image.shape[1]
    if below or right:
        image = np.asarray(
            cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8
        )
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _decoded(file: str | Path | BytesIO, name: str, halvings: int = 0) -> NDArray[np.uint8]:
    try:
        with open_image(file) as image:
            done = _set_scale(image, halvings)
            image.load()
            # Only now: Pillow turns a TIFF as it decodes it.
            upright = turned(as_rgb(image), orientation(image))
            return halved(np.array(upright, dtype=np.uint8), halvings - done)
    except FileNotFoundError:
        raise
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{name}: {error}") from error
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise UnreadableImageError(
            f"{name}: cannot be read as an image: {_reason(error)}"
        ) from error


def image_size(path: str | Path) -> tuple[int, int] | None:
    """Width and height of an image as `read_image` gives it, pixels; None where it is unreadable.

    Only the header is read. Of an image that is too large to be decoded, its size as stored.

    Args:
        path: The file.
    """
    try:
        with open_image(path) as image:
            found = orientation(image)  # first: some formats are decoded to find it
            width, height = image.size
            is_turned = image.format == "TIFF"  # whose size Pillow gives as it is shown
    except TooLargeError as error:
        return error.size
    except Exception:  # decoders raise whatever they like on damaged headers
        return None
    return (height, width) if found in EXIF_TURNED and not is_turned else (width, height)


def orientation(image: Image.Image) -> int | None:
    """EXIF's number for how an image is turned, 1 to 8; None where it has none."""
    try:
        found: Any = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # a damaged EXIF block: viewers show the image as it is stored
        return None
    return int(found) if found in range(1, 9) else None


def as_rgb(image: Image.Image) -> Image.Image:
    """An image in RGB with 8 bits a channel, not turned.

    Args:
        image: As Pillow opened it.

    Raises:
        UnreadableImageError: Its pixels are of a type that has no black and no white.
    """
    from PIL import Image as Images

    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):  # Pillow would cut at 255
        grey = np.asarray(image).astype(np.uint16) >> 8
        return Images.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in ("F", "I"):
        kind = {"F": "float32", "I": "int32"}[image.mode]
        raise UnreadableImageError(
            f"pixels of type {kind}, of which nothing says what is black and what is white; write "
            "it with 8 or 16 bits"
        )
    return image.convert("RGB")


def turned(image: Image.Image, number: int | None) -> Image.Image:
    """An image as EXIF's number says that it is to be shown.

    Args:
        image: The image as it is stored.
        number: EXIF's orientation, 1 to 8; None leaves the image alone.
    """
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[number]) if number in turns else image


def _set_scale(image: Image.Image, halvings: int) -> int:
    """Have a JPEG decoded at a smaller scale; how many of the halvings that makes."""
    if not halvings or image.format != "JPEG":
        return 0
    times = min(halvings, 3)  # the decoder knows an eighth and no less
    width, height = image.size
    # It repeats the last pixels as they are stored, which on a turned image are others.
    if (width % 2**times or height % 2**times) and orientation(image) not in (None, 1):
        return 0
    # It takes the smallest scale that is no smaller than asked for.
    image.draft(None, (max(1, width >> times), max(1, height >> times)))
    return round(math.log2(max(width, height) / max(image.size)))


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    return " ".join(f"{error}".split()) or type(error).__name__
