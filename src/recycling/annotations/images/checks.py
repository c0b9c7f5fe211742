"""Open every image once: what cannot be read, what has another size, what occurs twice."""

from __future__ import annotations

import logging
from typing import Literal, NewType

import pandas as pd

from recycling.annotations.core import AnnotationError, ImageFolder
from recycling.annotations.images.cache import ImageCache, facts_of_files
from recycling.annotations.images.facts import EXIF_TURNED, FILE_SIZE, IMAGE_COLUMNS
from recycling.tables import Column, Schema, register_table

_log = logging.getLogger(__name__)

PROBLEMS = ("missing", "unreadable", "truncated", "too_large", "size_mismatch", "duplicate")
"""What may be wrong with an image; where several things are, the first of them is named."""

FEATURES = (
    "width", "height", "file_size", "brightness", "contrast", "saturation", "sharpness",
    "red", "green", "blue",
)  # fmt: skip
"""The columns of `IMAGE_CHECKS` that describe an image in numbers."""

ImageChecks = NewType("ImageChecks", pd.DataFrame)
"""One row an image; schema `IMAGE_CHECKS`."""

IMAGE_CHECKS = Schema(
    "image checks",
    (
        Column("image_id", "int64", "the image's number", unique=True),
        Column("file_name", "string", "path below the image folder, with forward slashes"),
        Column("problem", "string", f"missing if none, else of {', '.join(PROBLEMS)}", True),
        Column("detail", "string", "the problem in words", nullable=True),
        Column("sha256", "string", "of the file; missing where it cannot be read", nullable=True),
        Column(
            "duplicate_of",
            "Int64",
            "the image with the same bytes and the lowest id, if it is another one",
            nullable=True,
        ),
        FILE_SIZE,
        *IMAGE_COLUMNS,
    ),
)
register_table("image_checks", IMAGE_CHECKS, ImageChecks)

MAX_PIXELS = 89_478_485
"""Largest image that is decoded, width times height; Pillow warns above the same figure."""


def check_images(
    images: pd.DataFrame,
    folder: ImageFolder,
    *,
    workers: int | None = None,
    missing_folder: Literal["error", "warn"] = "error",
    max_pixels: int = MAX_PIXELS,
    cache: ImageCache | None = None,
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
        max_pixels: Largest image that is decoded, width times height. Pillow opens none of more
            than twice `MAX_PIXELS`, whatever is set here.
        cache: Where to keep what the files showed, so that those that did not change since (the
            same path, size and time of modification) are not opened again.

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
    images = images.reset_index(drop=True)
    code, file_names = pd.factorize(images["file_name"])
    facts = facts_of_files(
        folder.path, list(file_names), workers=workers, max_pixels=max_pixels, cache=cache
    )
    compared = _compared(images, facts.iloc[code].reset_index(drop=True), max_pixels)
    return IMAGE_CHECKS.conform(_with_duplicates(compared), where="image checks")


def _compared(images: pd.DataFrame, facts: pd.DataFrame, max_pixels: int) -> pd.DataFrame:
    """Set the facts beside the rows of the images, and say where they disagree."""
    seen = facts[["fault", "detail", "width", "height", "orientation"]].astype(object)
    columns = [column.tolist() for _, column in seen.where(seen.notna(), None).items()]
    sizes = zip(images["width"], images["height"], strict=True)
    found = [_problem(max_pixels, *row) for row in zip(*columns, sizes, strict=True)]
    problem = pd.Series([problem for problem, _ in found], dtype="string")
    # An image that was decoded under a higher limit counts for no more than one that never was.
    decoded = facts["phash"].notna() & ~problem.isin(["too_large"])
    shown = facts[[column.name for column in IMAGE_COLUMNS]].where(decoded)
    return shown.assign(
        image_id=images["image_id"],
        file_name=images["file_name"],
        problem=problem,
        detail=pd.Series([detail for _, detail in found], dtype="string"),
        sha256=facts["sha256"],
        file_size=facts["file_size"],
    )


def _problem(
    max_pixels: int,
    fault: str | None,
    detail: str | None,
    width: int | None,
    height: int | None,
    orientation: int | None,
    expected: tuple[int, int],
) -> tuple[str | None, str | None]:
    """What is wrong with an image, in a word and in words; None twice if nothing."""
    if width is not None and height is not None and width * height > max_pixels:
        return "too_large", f"{width} x {height} is more than {max_pixels} pixels; not decoded"
    if fault is not None or width is None or height is None:
        return fault, detail
    mismatch = _size_mismatch((width, height), expected, orientation)
    return ("size_mismatch" if mismatch else None), mismatch


def _size_mismatch(
    shown: tuple[int, int], expected: tuple[int, int], orientation: int | None
) -> str | None:
    """What is wrong with the size, or None."""
    if shown == expected:
        return None
    detail = f"the file is {shown[0]} x {shown[1]}, its entry says {expected[0]} x {expected[1]}"
    if shown == expected[::-1] and orientation in EXIF_TURNED:
        detail += f": EXIF orientation {orientation} turns the picture, its entry does not"
    return detail


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
