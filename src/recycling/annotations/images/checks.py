"""Open every image once: what cannot be read, what has another size, what occurs twice."""

from __future__ import annotations

import logging
from typing import Literal, NewType

import pandas as pd

from recycling.annotations.core import AnnotationError, ImageFolder
from recycling.annotations.images.cache import ImageCache, facts_of_files
from recycling.annotations.images.decoding import EXIF_TURNED
from recycling.annotations.images.facts import FILE_SIZE, IMAGE_COLUMNS
from recycling.annotations.images.found_files import found_files, is_url
from recycling.errors import listed
from recycling.limits import limits
from recycling.names import shown_name
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
        Column(
            "found_as",
            "string",
            "the file that it is, where it is called otherwise than the entry says: in separators, "
            "Unicode form or case",
            nullable=True,
        ),
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
        Column("orientation", "Int64", "EXIF's number, if it has one", nullable=True),
        *IMAGE_COLUMNS,
    ),
)
register_table("image_checks", IMAGE_CHECKS, ImageChecks)

_SHOWN = 3  # names in a warning


def check_images(
    images: pd.DataFrame,
    folder: ImageFolder,
    *,
    missing_folder: Literal["error", "warn"] = "error",
    max_pixels: int | None = None,
    cache: ImageCache | None = None,
) -> pd.DataFrame:
    """Open and decode every image, in threads, and compare it with its row.

    The size that counts is the one a viewer shows, with the EXIF rotation applied: that is what
    the training libraries read. A header that announces more than `max_pixels` is refused before
    anything is decoded. A file that is called otherwise than its entry says, but only in
    separators, Unicode form or case, is that entry's. What is missing or damaged is logged, one
    line a kind.

    Args:
        images: The images; schema `IMAGES`.
        folder: Where their files are.
        missing_folder: Whether a folder that is not there is an error or one logged warning.
        max_pixels: Largest image that is decoded, width times height; by default that of `Limits`.
            Pillow opens none of more than twice as many as those allow, whatever is set here.
        cache: Where to keep what the files showed, so that those that did not change since (the
            same path, size and time of modification) are not opened again.

    Returns:
        One row an image, in the order of `images`; schema `IMAGE_CHECKS`. No rows where the
        folder is missing.

    Raises:
        AnnotationError: The folder is not there or holds none of the images, or the name of one
            may mean several files.
    """
    if not folder.path.is_dir():
        message = f"{folder.path}: no such image folder; {len(images)} images were not checked"
        if missing_folder == "error":
            raise AnnotationError(f"{message}, set the folder in the catalog")
        _log.warning(message)
        return IMAGE_CHECKS.empty()
    max_pixels = limits().max_pixels if max_pixels is None else max_pixels
    images = images.reset_index(drop=True)
    code, names = pd.factorize(images["file_name"])
    found = found_files(folder.path, list(names))
    facts = facts_of_files(folder.path, found, max_pixels=max_pixels, cache=cache)
    # Two entries may be called otherwise and mean one file.
    rows = facts.iloc[pd.factorize(pd.Series(found))[0][code]].reset_index(drop=True)
    compared = _compared(images, rows, max_pixels)
    is_other = pd.Series([name != own for name, own in zip(found, names, strict=True)])
    found_as = pd.Series(found, dtype="string").where(is_other).iloc[code]
    checks = IMAGE_CHECKS.conform(
        _with_duplicates(compared.assign(found_as=found_as.to_numpy())), where="image checks"
    )
    _stop_if_none_is_there(checks, folder)
    _say_what_is_wrong(checks, folder)
    return checks


def _compared(images: pd.DataFrame, facts: pd.DataFrame, max_pixels: int) -> pd.DataFrame:
    """Set the facts beside the rows of the images, and say where they disagree."""
    seen = facts[["fault", "detail", "width", "height", "orientation"]].astype(object)
    columns = [column.tolist() for _, column in seen.where(seen.notna(), None).items()]
    sizes = zip(images["width"], images["height"], strict=True)
    found = [_problem(max_pixels, *row) for row in zip(*columns, sizes, strict=True)]
    problem = pd.Series([problem for problem, _ in found], dtype="string")
    # An image that was decoded under a higher limit counts for no more than one that never was.
    decoded = facts["brightness"].notna() & ~problem.isin(["too_large"])
    shown = facts[[column.name for column in IMAGE_COLUMNS]].where(decoded)
    return shown.assign(
        image_id=images["image_id"],
        file_name=images["file_name"],
        problem=problem,
        detail=pd.Series([detail for _, detail in found], dtype="string"),
        sha256=facts["sha256"],
        file_size=facts["file_size"],
        orientation=facts["orientation"],
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
        detail += f": EXIF orientation {orientation} turns the image, its entry does not"
    return detail


def _with_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in `duplicate_of`, and the problem "duplicate" where there is no other."""
    read = table[table["sha256"].notna()]  # a group of missing values would make floats of ids
    first = read.groupby("sha256", sort=False)["image_id"].transform("min")
    copies = first[first != read["image_id"]]
    duplicate_of = copies.astype("Int64").reindex(table.index)
    copy = duplicate_of.notna() & table["problem"].isna()
    detail = "the same bytes as image " + duplicate_of.astype("string")
    return table.assign(
        duplicate_of=duplicate_of,
        problem=table["problem"].mask(copy, "duplicate"),
        detail=table["detail"].mask(copy, detail),
    )


def _stop_if_none_is_there(checks: pd.DataFrame, folder: ImageFolder) -> None:
    if checks.empty or (checks["problem"] != "missing").fillna(True).any():
        return
    name = checks["file_name"].iloc[0]
    what = (
        f"the first, {shown_name(name)}, is a URL: download the images, and make file_name the "
        "path of each below the folder"
        if is_url(name)
        else f"the first, {shown_name(name)}, is not there; correct the image folder in the "
        "catalog, or file_name"
    )
    raise AnnotationError(f"{folder.path}: holds none of the {len(checks)} images: {what}")


def _say_what_is_wrong(checks: pd.DataFrame, folder: ImageFolder) -> None:
    """Log what is missing, what is damaged, and what no size can show; one line each."""
    missing = checks[(checks["problem"] == "missing").fillna(False)]
    if len(missing):
        n_urls = sum(map(is_url, missing["file_name"]))
        _log.warning(
            "%s: %d of %d images are missing%s: %s",
            folder.path,
            len(missing),
            len(checks),
            f" ({n_urls} with a URL for a file_name)" if n_urls else "",
            listed(map(shown_name, missing["file_name"]), _SHOWN),
        )
    damaged = checks[checks["problem"].isin(["unreadable", "truncated", "too_large"])]
    if len(damaged):
        kind = damaged["problem"].where(damaged["problem"] == "truncated", damaged["detail"])
        kinds = [
            f"{len(rows)} x {what} ({listed(map(shown_name, rows['file_name']), _SHOWN)})"
            for what, rows in damaged.groupby(kind, sort=False)
        ]
        _log.warning(
            "%s: %d of %d images cannot be used: %s",
            folder.path, len(damaged), len(checks), listed(kinds),
        )  # fmt: skip
    square = checks["width"] == checks["height"]
    turned = checks["orientation"].isin([2, 3, 4]) | (
        checks["orientation"].isin(EXIF_TURNED) & square
    )
    unclear = checks[turned.fillna(False)]
    if len(unclear):
        _log.warning(
            "%s: EXIF turns or mirrors %d of %d images in a way that no size shows: %s; boxes are "
            "taken to be those of the images as a viewer shows them",
            folder.path,
            len(unclear),
            len(checks),
            listed(map(shown_name, unclear["file_name"]), _SHOWN),
        )
