"""Images without labels, such as a competition's test set: a folder, or a CSV file of names."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from recycling.annotations.core import AnnotationError, Annotations
from recycling.annotations.formats.found_images import FoundImage, as_annotations
from recycling.annotations.images.decoding import image_size
from recycling.annotations.images.facts import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from recycling.annotations.images.found_files import files_below, files_meant
from recycling.errors import Faults, listed, visible
from recycling.limits import check_table
from recycling.names import leaves_folder
from recycling.progress import track

_log = logging.getLogger(__name__)


def read_unlabelled_images(
    folder: str | Path,
    *,
    names: str | Path | None = None,
    file_name: str = "file_name",
    classes: Sequence[str] = (),
) -> Annotations:
    """Read the images of a folder, or those that a CSV file names, as annotations without any.

    Args:
        folder: The folder of images; also the image folder that goes with the result.
        names: A CSV file with a row an image, such as the competition's sample submission; by
            default all images in the folder and below it, in the order of
            their names. Hidden files are passed over. A name that differs from one file only in
            separators, Unicode form or case means that file, which is said.
        file_name: The column of file names.
        classes: The names of the categories, in the order of the labelled images; ids from 0.

    Returns:
        The images, numbered from 1, each a group of its own; no annotations. Sizes are those of
        the images as a viewer shows them.

    Raises:
        AnnotationError: The folder or the file is missing, there is no image, or one is named
            twice, missing or unreadable. One line that counts all faults by kind.
    """
    root = Path(folder)
    if not root.is_dir():
        raise AnnotationError(f"{root}: no such folder; it holds the images")
    where = root if names is None else Path(names)
    found = images_below(root) if names is None else _named(Path(names), file_name)
    if not found:
        raise AnnotationError(f"{where}: there is no image; add some")
    faults = Faults(where, AnnotationError)
    means = files_meant(root, found)
    images, seen = [], set()
    for name in track(found, "reading images"):
        file_name = PurePosixPath(means[name]).as_posix()
        size, path = None, root / file_name
        if file_name in seen:
            faults.add("an image is named twice, keep one row", visible(name))
        elif leaves_folder(name):
            faults.add("the file name leaves the folder, make it a path below it", visible(name))
        elif not os.path.isfile(path):  # noqa: PTH113  # Path raises where a name is too long
            faults.add(f"no such file in {root}, correct the name or add it", visible(name))
        elif (size := image_size(path)) is None:
            faults.add("the image cannot be read, replace it", visible(name))
        images.append(FoundImage(file_name, size or (1, 1), []))
        seen.add(file_name)
    faults.raise_if_any()
    return as_annotations(images, dict(enumerate(classes)), where=where, source="human")


def images_below(root: Path) -> list[str]:
    """Paths of all images below a folder, with forward slashes, sorted; see `images_among`.

    Args:
        root: The folder; links to folders are followed.
    """
    return images_among(files_below(root), root)


def images_among(names: Iterable[str], where: str | Path) -> list[str]:
    """Those of some files that are images by their endings; photographs of other ones are told of.

    Args:
        names: Paths below a folder, with forward slashes; hidden ones are left out.
        where: What is looked through, for the message.

    >>> images_among(["a.JPG", ".b.jpg", "notes.txt"], "photos")
    ['a.JPG']
    """
    images, others = [], Counter[str]()
    for name in names:
        path = PurePosixPath(name)
        ending = path.suffix.lower()
        if any(part.startswith(".") for part in path.parts):
            continue
        if ending in IMAGE_SUFFIXES:
            images.append(name)
        elif ending in UNREAD_SUFFIXES:
            others[ending] += 1
    if others:
        counts = ", ".join(f"{n:,} {ending}" for ending, n in sorted(others.items()))
        _log.warning("%s: left out by their endings: %s; save them as .jpg or .png", where, counts)
    return images


def _named(path: Path, column: str) -> list[str]:
    try:
        check_table(path)
        table = pd.read_csv(
            path, dtype="string", keep_default_na=False, encoding="utf-8-sig", compression=None
        )
    except (OSError, ValueError) as error:  # pandas raises several of the latter
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise AnnotationError(f"{path}: cannot be read: {reason}") from error
    if column not in table.columns:
        raise AnnotationError(
            f"{path}: no column {column!r}; there are {listed(table.columns)}: set file_name"
        )
    return [str(name).strip() for name in table[column]]
