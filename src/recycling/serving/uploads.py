"""What a request sends: an image, or a zip file of images, which nobody has to be trusted with."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from recycling.annotations.images.decoding import UnreadableImageError, decode_image
from recycling.annotations.images.facts import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from recycling.limits import TooLargeError, open_image
from recycling.serving.core import Refused, ServiceLimits

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True)
class Upload:
    """The images of a request.

    Attributes:
        names: What they are called.
        images: Each (H, W, 3) RGB, upright.
        faults: Names of other files of a zip file, and why they cannot be read.
        is_zip: Whether they came in one.
    """

    names: list[str]
    images: list[NDArray[np.uint8]]
    faults: list[tuple[str, str]] = field(default_factory=list)
    is_zip: bool = False

    @property
    def n_pixels(self) -> int:
        """Of all images."""
        return sum(image.shape[0] * image.shape[1] for image in self.images)


def read_upload(content: bytes, name: str, limits: ServiceLimits) -> Upload:
    """Read what was sent; what it is, its first bytes say.

    Args:
        content: The bytes.
        name: What the sender calls it.
        limits: How much is read.

    Raises:
        Refused: It is too large (413), or no image, or a zip file without one (415).
    """
    if not content.startswith(_ZIP):
        _check_pixels(content, limits)
        try:
            return Upload([name], [decode_image(content, "it")])
        except UnreadableImageError as error:
            raise _no_image(f"{error}".removeprefix("it: ")) from error
    return _unzipped(content, limits)


def _check_pixels(content: bytes, limits: ServiceLimits) -> int:
    """The pixels that the header of an image announces."""
    try:
        with open_image(BytesIO(content)) as image:
            n = image.width * image.height
    except TooLargeError as error:
        raise Refused(413, f"{error}; send a smaller image") from error
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise _no_image("no image that can be read") from error
    most = min(limits.max_pixels, limits.pixels_together)
    if n > most:
        raise Refused(413, f"{n:,} pixels are more than {most:,}; send fewer")
    return n


def _no_image(why: str) -> Refused:
    return Refused(415, f"{why}; send a JPEG, PNG or WebP, or a zip file of them")


def _unzipped(content: bytes, limits: ServiceLimits) -> Upload:
    try:
        archive = zipfile.ZipFile(BytesIO(content))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise Refused(415, "a damaged zip file; send another") from error
    with archive:
        entries = [each for each in archive.infolist() if _is_image(each)]
        if len(entries) > limits.max_images:
            raise Refused(
                413, f"{len(entries):,} images are more than {limits.max_images}; send fewer"
            )
        return _read_entries(archive, entries, limits)


def _read_entries(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], limits: ServiceLimits
) -> Upload:
    upload = Upload([], [], is_zip=True)
    n_pixels = n_bytes = 0
    for entry in entries:
        try:
            if (ending := _ending(entry)) not in IMAGE_SUFFIXES:
                raise _no_image(f"a file that ends in {ending}")
            content = _unpacked(archive, entry, 4 * limits.max_bytes - n_bytes)
            n_bytes += len(content)
            n_pixels += _check_pixels(content, limits)
            if n_pixels > limits.pixels_together:
                raise Refused(413, "the images have too many pixels together; send fewer")
            upload.images.append(decode_image(content, "it"))
            upload.names.append(entry.filename)
        except UnreadableImageError as error:
            upload.faults.append((entry.filename, f"{error}".removeprefix("it: ")))
        except Refused as error:
            if error.status == 413:
                raise
            upload.faults.append((entry.filename, error.reason))
    if not upload.images:
        raise _no_image("a zip file without an image that can be read")
    return upload


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """A file of an archive, whatever size the archive says it has."""
    too_many = Refused(413, "the zip file unpacks to too many bytes; send less")
    if entry.file_size > most:
        raise too_many
    try:
        with archive.open(entry) as file:
            content = file.read(most + 1)
    except NotImplementedError as error:
        raise _no_image("a file packed in a way that is not read") from error
    except RuntimeError as error:
        raise _no_image("an encrypted file") from error
    except Exception as error:  # zlib, lzma and bz2 have errors of their own
        raise _no_image("a damaged file") from error
    if len(content) > most:
        raise too_many
    return content


def _is_image(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return not entry.is_dir() and not hidden and _ending(entry) in IMAGE_SUFFIXES | UNREAD_SUFFIXES


def _ending(entry: zipfile.ZipInfo) -> str:
    return PurePosixPath(entry.filename).suffix.lower()
