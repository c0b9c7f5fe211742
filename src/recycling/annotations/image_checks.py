"""Open every image once: what cannot be read, what has another size, what occurs twice.

Source of the perceptual hash: `imagehash.phash`, 64 bits from the lowest frequencies of the
picture at 32 x 32, https://github.com/JohannesBuchner/imagehash
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal, NewType, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import IMAGES, AnnotationError, ImageFolder
from recycling.progress import track
from recycling.tables import Column, Dtype, Schema

_log = logging.getLogger(__name__)

PROBLEMS = ("missing", "unreadable", "truncated", "too_large", "size_mismatch", "duplicate")
"""What may be wrong with an image; where several things are, the first of them is named."""

ImageChecks = NewType("ImageChecks", pd.DataFrame)
"""One row an image; schema `IMAGE_CHECKS`."""

IMAGE_CHECKS = Schema(
    "image checks",
    (
        Column("image_id", "int64", "the image's number", unique=True),
        Column("file_name", "string", "path below the image folder, with forward slashes"),
        Column("problem", "string", f"missing if none, else of {', '.join(PROBLEMS)}", True),
        Column("detail", "string", "the problem in words", nullable=True),
        Column("sha256", "string", "of the file; missing where there is no file", nullable=True),
        Column("phash", "string", "perceptual hash, 16 hex digits, if decoded", nullable=True),
        Column(
            "duplicate_of",
            cast(Dtype, "Int64"),
            "the image with the same bytes and the lowest id, if it is another one",
            nullable=True,
        ),
    ),
)

MAX_PIXELS = 89_478_485
"""Largest image that is decoded, width times height; Pillow warns above the same figure."""

_EXIF_ORIENTATION = 0x0112
_EXIF_TURNED = (5, 6, 7, 8)  # orientations that swap width and height
_BLOCK = 512  # rows of the distance matrix in memory at a time


def check_images(
    images: pd.DataFrame,
    folder: ImageFolder,
    *,
    workers: int | None = None,
    missing_folder: Literal["error", "warn"] = "error",
    max_pixels: int = MAX_PIXELS,
) -> pd.DataFrame:
    """Open and decode every image, in threads, and compare it with its row.

    The size that counts is the one a viewer shows, with the EXIF rotation applied: that is what
    the training libraries read. A header that announces more than `max_pixels` is refused before
    anything is decoded.

    Args:
        images: The images; schema `IMAGES`.
        folder: Where their files are.
        workers: Threads; by default one for each processor core.
        missing_folder: Whether a folder that is not there is an error or one logged warning.
        max_pixels: Largest image that is decoded, width times height.

    Returns:
        One row an image, in the order of `images`; schema `IMAGE_CHECKS`. No rows where the
        folder is missing.

    Raises:
        AnnotationError: The folder is not there.
    """
    if not folder.path.is_dir():
        message = f"{folder.path}: no such image folder; {len(images)} images were not checked"
        if missing_folder == "error":
            raise AnnotationError(f"{message}, set the folder in the catalog")
        _log.warning(message)
        return IMAGE_CHECKS.empty()
    rows = images[["image_id", "file_name", "width", "height"]].itertuples(index=False)
    looks = list(_looks([_Expected(*row) for row in rows], folder.path, workers, max_pixels))
    table = pd.DataFrame(
        {
            "image_id": images["image_id"].to_numpy(),
            "file_name": images["file_name"].to_numpy(),
            "problem": pd.array([look.problem for look in looks], dtype="string"),
            "detail": pd.array([look.detail for look in looks], dtype="string"),
            "sha256": pd.array([look.sha256 for look in looks], dtype="string"),
            "phash": pd.array([look.phash for look in looks], dtype="string"),
        }
    )
    return IMAGE_CHECKS.conform(_with_duplicates(table), where="image checks")


def near_duplicate_groups(
    images: pd.DataFrame, checks: pd.DataFrame, *, max_distance: int = 8
) -> pd.DataFrame:
    """Put images that look alike into one group, so that no fold separates them.

    Likeness carries over: if A is like B and B like C, the three are one group. Existing groups
    are joined, never taken apart. A joined group takes the name of its image of the lowest id.

    Args:
        images: The images; schema `IMAGES`.
        checks: What `check_images` found; images without a hash stay as they are.
        max_distance: Largest number of differing bits, of 64, between hashes of like images.

    Returns:
        The images table with its `group` column extended; row order is kept.
    """
    images = images.reset_index(drop=True)
    hashes = images["image_id"].map(checks.set_index("image_id")["phash"])
    hashed = np.flatnonzero(hashes.notna().to_numpy())
    bits = np.array([int(text, 16) for text in hashes.iloc[hashed]], dtype=np.uint64)
    first, second = _pairs_within(bits, max_distance)
    joined = _joined(images["group"], hashed[first], hashed[second])
    lowest = images["image_id"].groupby(joined).transform("idxmin")
    # A component of one group only is left alone, whatever its image of the lowest id.
    grown = images["group"].groupby(joined).transform("nunique") > 1
    group = images["group"].where(~grown, images["group"].loc[lowest].to_numpy())
    return IMAGES.conform(images.assign(group=group), where="images")


@dataclass(frozen=True)
class _Expected:
    """What the images table says of an image."""

    image_id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class _Look:
    """What opening one image showed."""

    problem: str | None = None
    detail: str | None = None
    sha256: str | None = None
    phash: str | None = None


def _looks(
    expected: list[_Expected], folder: Path, workers: int | None, max_pixels: int
) -> Iterator[_Look]:
    import imagehash  # noqa: F401  # once here, not by every thread at the same time

    with warnings.catch_warnings(), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        # Pillow warns of large headers; they are reported as a problem of the image instead.
        warnings.simplefilter("ignore")
        looks = pool.map(lambda image: _look(image, folder, max_pixels), expected)
        yield from track(looks, "checking images", total=len(expected))


def _look(expected: _Expected, folder: Path, max_pixels: int) -> _Look:
    path = folder / expected.file_name
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return _Look("missing", f"no file {expected.file_name} in the image folder")
    except OSError as error:
        return _Look("unreadable", f"cannot be opened: {error.strerror}")
    return _look_at(content, expected, max_pixels, hashlib.sha256(content).hexdigest())


def _look_at(content: bytes, expected: _Expected, max_pixels: int, sha256: str) -> _Look:
    import imagehash
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(BytesIO(content))
    except Image.DecompressionBombError as error:
        return _Look("too_large", str(error).split(",")[0], sha256)
    except UnidentifiedImageError:
        what = "the file is empty" if not content else "not an image of a known format"
        return _Look("unreadable", what, sha256)
    except Exception as error:  # decoders raise whatever they like on damaged headers
        return _Look("unreadable", _one_line(error), sha256)
    with picture:
        width, height = picture.size
        if width * height > max_pixels:
            detail = f"{width} x {height} is more than {max_pixels} pixels; not decoded"
            return _Look("too_large", detail, sha256)
        try:
            orientation = picture.getexif().get(_EXIF_ORIENTATION)
            picture.load()
            phash = str(imagehash.phash(picture))
        except Exception as error:  # likewise, on damaged data
            return _Look("truncated", _one_line(error), sha256)
    mismatch = _size_mismatch((width, height), (expected.width, expected.height), orientation)
    return _Look("size_mismatch" if mismatch else None, mismatch, sha256, phash)


def _size_mismatch(
    stored: tuple[int, int], expected: tuple[int, int], orientation: int | None
) -> str | None:
    """What is wrong with the size, or None."""
    turned = orientation in _EXIF_TURNED
    shown = stored[::-1] if turned else stored
    if shown == expected:
        return None
    detail = f"the file is {shown[0]} x {shown[1]}, its entry says {expected[0]} x {expected[1]}"
    if shown == expected[::-1] and turned:
        detail += f": EXIF orientation {orientation} turns the picture, its entry does not"
    return detail


def _one_line(error: Exception) -> str:
    return " ".join(f"{error}".split()) or type(error).__name__


def _with_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in `duplicate_of`, and the problem "duplicate" where there is no other."""
    first = table.groupby("sha256", sort=False)["image_id"].transform("min").astype("Int64")
    duplicate_of = first.mask(first == table["image_id"])
    copy = duplicate_of.notna() & table["problem"].isna()
    detail = "the same bytes as image " + duplicate_of.astype("string")
    return table.assign(
        duplicate_of=duplicate_of,
        problem=table["problem"].mask(copy, "duplicate"),
        detail=table["detail"].mask(copy, detail),
    )


def _pairs_within(
    bits: NDArray[np.uint64], max_distance: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of hashes that differ in at most `max_distance` bits."""
    firsts, seconds = [], []
    for start in range(0, len(bits), _BLOCK):
        block = bits[start : start + _BLOCK, None]
        near = np.bitwise_count(block ^ bits[None, start:]) <= max_distance
        first, second = np.nonzero(np.triu(near, k=1))
        firsts.append(first + start)
        seconds.append(second + start)
    none = np.empty(0, dtype=np.intp)
    return np.concatenate([none, *firsts]), np.concatenate([none, *seconds])


def _joined(
    groups: pd.Series, first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.int32]:
    """The component of each image: likeness and shared groups are the edges."""
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    n_images = len(groups)
    codes = pd.factorize(groups)[0] + n_images  # a node for each group beside the images
    sources = np.concatenate([np.arange(n_images), first])
    targets = np.concatenate([codes, second])
    n_nodes = n_images + groups.nunique()
    edges = coo_array((np.ones(len(sources), dtype=bool), (sources, targets)), (n_nodes, n_nodes))
    component = connected_components(edges, directed=False)[1][:n_images]
    return np.asarray(component, dtype=np.int32)
