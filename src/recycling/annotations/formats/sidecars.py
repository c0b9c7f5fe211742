"""Annotation files that lie one beside each image, as Pascal VOC and YOLO have them.

`read_sidecars` and `write_sidecars` do all that the formats share; a format's own file holds the
grammar of its files.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import BOX, AnnotationError, Annotations, ImageFolder
from recycling.annotations.formats.coco.layout import ABSENT, COLUMN_KEYS
from recycling.annotations.formats.found_images import FoundImage, as_annotations
from recycling.annotations.images.facts import IMAGE_SUFFIXES
from recycling.annotations.images.found_files import files_below, is_litter
from recycling.annotations.masks import annotation_mask, mask_polygons
from recycling.errors import Faults, listed
from recycling.files import new_folder
from recycling.limits import LARGEST_ENTRY
from recycling.names import KnownNames, composed, leaves_folder, shown_name
from recycling.progress import track
from recycling.tables import TableError

_log = logging.getLogger(__name__)

NOT_OPENED = "cannot be opened, see that it is there and may be read"
"""The fault of an annotation file that the operating system does not give."""

TOO_LARGE = f"larger than {LARGEST_ENTRY >> 20} MB, remove it or simplify its polygons"
"""The fault of an annotation file of one image that would fill the memory."""

_REPEATED = {ABSENT}.union(*COLUMN_KEYS.values())  # keys of `extra` that a column has too


@dataclass(frozen=True)
class SidecarFormat:
    """A format of one annotation file an image.

    Attributes:
        name: What it is called in messages.
        suffix: Ending of annotation files, with its dot, lower case.
        not_a_sidecar: A file of that ending which other tools put there, and which needs no image.
    """

    name: str
    suffix: str
    not_a_sidecar: str = ""


@dataclass(frozen=True)
class ImageFile:
    """An image with the annotation file that goes with it.

    Attributes:
        file_name: The image's path below the image folder, with forward slashes.
        path: The image file.
        sidecar: The annotation file; None where there is none.
        sidecar_name: Its path below the annotation folder, for messages; "" where there is none.
    """

    file_name: str
    path: Path
    sidecar: Path | None
    sidecar_name: str


@dataclass(frozen=True)
class AnnotationToWrite:
    """One annotation as it is to be written.

    Attributes:
        category_id: Its category.
        box: `x_min, y_min, x_max, y_max`, pixels, (4,).
        polygons: Each (N, 2), pixels; empty where there is only a box.
        was_rle: Whether the polygons are the contours of an RLE.
        extra: What else the tables hold of it.
    """

    category_id: int
    box: NDArray[np.float64]
    polygons: list[NDArray[np.float64]]
    was_rle: bool
    extra: dict[str, Any]


@dataclass(frozen=True)
class ImageToWrite:
    """All that is written of one image.

    Attributes:
        file_name: The image's path below the image folder.
        width: Pixels.
        height: Pixels.
        annotations: What is on it, without crowd regions.
    """

    file_name: str
    width: int
    height: int
    annotations: list[AnnotationToWrite]


def read_sidecars(
    form: SidecarFormat,
    folder: Path,
    images_folder: str | Path | ImageFolder,
    read_image: Callable[[ImageFile, Faults], FoundImage],
    *,
    categories: Mapping[int, str] | None = None,
    source: Literal["human", "pseudo"],
) -> Annotations:
    """Read a folder of annotation files.

    A file goes with the image of the same path, ending aside; subfolders are read. Images are
    numbered from 1 in the order of their names.

    Args:
        form: The format.
        folder: The folder of annotation files.
        images_folder: The folder of images; one without a file holds nothing, which is warned of.
        read_image: Reads one image and its file. It puts what is wrong into the faults.
        categories: Names by id; by default those that occur, sorted, with ids from 1.
        source: Who made the annotations.

    Returns:
        The tables.

    Raises:
        AnnotationError: A folder is missing or holds none of its files, an annotation file has no
            image, two images would share one, `read_image` found faults, or a category is not
            among those given. One line.
    """
    files = _image_files(form, folder, Path(images_folder))
    faults = Faults(folder, AnnotationError)
    images = [read_image(file, faults) for file in track(files, f"reading {form.name}")]
    found = [(annotation.category, image) for image in images for annotation in image.annotations]
    if categories is None:
        categories = dict(enumerate(sorted({composed(str(name)) for name, _ in found}), 1))
    known = {*categories, *map(composed, categories.values())}
    for category, image in found:
        if (composed(category) if isinstance(category, str) else category) not in known:
            kind = f"category {category!r} is not among those given, add it or correct it"
            faults.add(kind, image.file_name)
    faults.raise_if_any()
    return as_annotations(images, categories, where=folder, source=source)


def write_sidecars(
    form: SidecarFormat,
    annotations: Annotations,
    folder: Path,
    *,
    text_of: Callable[[ImageToWrite], str],
    losses_of: Callable[[ImageToWrite], Mapping[str, int]],
    more_losses: Mapping[str, int],
    write_beside: Callable[[], None] = lambda: None,
) -> None:
    """Write a folder of annotation files, and say in one warning what they do not hold.

    Polygons are made when their image's turn comes. An RLE becomes the outlines of its mask.

    Args:
        form: The format.
        annotations: The tables, which `check_writable` lets pass.
        folder: Where to. It appears whole or not at all; files of the format's ending that it held
            are gone.
        text_of: The content of an image's file.
        losses_of: What the file of an image loses beside what every format loses, with counts.
        more_losses: What the format loses of the tables as a whole, with counts.
        write_beside: Writes what lies beside the folder, once all its files are written.

    Raises:
        AnnotationError: An RLE is damaged, or the folder is a file or holds files of another
            ending, which would be deleted.
    """
    _check_replaceable(form, folder)
    losses: Counter[str] = Counter()
    with new_folder(folder) as unfinished:
        for image in _images_to_write(form, annotations, folder):
            path = unfinished / _sidecar_name(image.file_name, form)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text_of(image), encoding="utf-8")
            losses.update(losses_of(image))
        write_beside()
    counts = {**_common_losses(annotations), **losses, **more_losses}
    lost = [f"{count} {what}" for what, count in counts.items() if count]
    if lost:
        _log.warning(
            "%s: %s does not hold all that there is, keep the COCO file too; not kept: %s",
            folder,
            form.name,
            ", ".join(lost),
        )


def check_writable(form: SidecarFormat, annotations: Annotations, folder: Path) -> None:
    """Stop where annotations cannot be written one file an image.

    Args:
        form: The format.
        annotations: The tables.
        folder: The folder that is to be written.

    Raises:
        AnnotationError: A table is not of its schema, an image has no path below the folder or
            would share its file with another, or an annotation has no image, no category or a box
            of no area. One line.
    """
    from supervision.dataset.utils import check_no_basename_collisions

    try:
        annotations.conform()
    except TableError as error:
        raise AnnotationError(f"{folder}: {error}; correct the table") from error
    images, table = annotations.images, annotations.annotations
    faults = Faults(folder, AnnotationError)
    for name in images["file_name"].tolist():
        if leaves_folder(name):
            faults.add("file_name leaves the image folder, make it a path below it", repr(name))
    for key, other in (("image_id", images), ("category_id", annotations.categories)):
        for row in table[~table[key].isin(other[key])].itertuples():
            faults.add(f"unknown {key}, remove the annotation", f"annotation {row.annotation_id}")
    flat = (table["x_max"] <= table["x_min"]) | (table["y_max"] <= table["y_min"])
    for annotation_id in table.loc[flat & ~table["iscrowd"], "annotation_id"]:
        kind = "the box has no area, drop it with the rule drop_degenerate_boxes"
        faults.add(kind, f"annotation {annotation_id}")
    faults.raise_if_any()
    try:
        check_no_basename_collisions(
            images["file_name"].tolist(), lambda name: _sidecar_name(name, form), "annotation"
        )
    except ValueError as error:
        raise AnnotationError(f"{folder}: {error}") from error


# Reading


def _image_files(form: SidecarFormat, folder: Path, images: Path) -> list[ImageFile]:
    """Every image with its annotation file, in the order of file names."""
    names = _files_of(images, IMAGE_SUFFIXES, "image folder")
    found = _files_of(folder, {form.suffix}, "annotation folder")
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(_stem(name), []).append(name)
    faults = Faults(folder, AnnotationError)
    for sharing in by_stem.values():
        if len(sharing) > 1:
            faults.add("two images share an annotation file, rename one", " and ".join(sharing))
    stems = list(by_stem)
    known = KnownNames(stems)
    sidecars: dict[str, str] = {}
    for name in found:
        row = known.find(_stem(name))
        if row is None and name != form.not_a_sidecar:
            kind = f"no image of that name in {images}, add it or remove the file"
            known.note_unknown(_stem(name), "image", name, kind, faults)
        elif row is not None and stems[row] in sidecars:
            kind = "two annotation files of one image, remove one"
            faults.add(kind, f"{shown_name(sidecars[stems[row]])} and {shown_name(name)}")
        elif row is not None:
            sidecars[stems[row]] = name
    faults.raise_if_any()
    known.say_rewritten(folder, "images")
    without = [name for name in names if _stem(name) not in sidecars]
    if without:
        _log.warning(
            "%s: %d of %d images have no %s file and are taken to hold nothing, the first: %s",
            folder,
            len(without),
            len(names),
            form.suffix,
            without[0],
        )
    files = []
    for name in names:
        sidecar = sidecars.get(_stem(name))
        path = None if sidecar is None else folder / sidecar
        files.append(ImageFile(name, images / name, path, sidecar or ""))
    return files


def _files_of(folder: Path, suffixes: set[str] | frozenset[str], what: str) -> list[str]:
    """Paths of a folder's files of some endings, below it, sorted."""
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such {what}; check the path")
    found = files_below(folder)
    litter = dict.fromkeys(filter(is_litter, found))
    if litter:
        _log.warning(
            "%s: %d files that an operating system put there are passed over: %s",
            folder, len(litter), listed(litter, 3),
        )  # fmt: skip
    names = [name for name in found if Path(name).suffix.lower() in suffixes and name not in litter]
    if not names:
        raise AnnotationError(
            f"{folder}: the {what} holds no file that ends in {', '.join(sorted(suffixes))}; "
            "check the path"
        )
    return names


def _stem(file_name: str) -> str:
    return PurePosixPath(file_name).with_suffix("").as_posix()


# Writing


def _sidecar_name(file_name: str, form: SidecarFormat) -> str:
    return _stem(file_name) + form.suffix


def _check_replaceable(form: SidecarFormat, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise AnnotationError(f"{folder}: is a file; give a folder")
    others = [
        name
        for name in files_below(folder)
        if Path(name).suffix.lower() != form.suffix and not is_litter(name)
    ]
    if others:
        raise AnnotationError(
            f"{folder}: holds {len(others)} files that are not {form.suffix} files and would be "
            f"deleted, the first: {min(others)}; write to a folder of its own"
        )


def _images_to_write(
    form: SidecarFormat, annotations: Annotations, folder: Path
) -> Iterator[ImageToWrite]:
    """The images in the order of file names."""
    table = annotations.annotations[~annotations.annotations["iscrowd"]]
    rows_of: dict[Any, Any] = dict(table.groupby("image_id").indices)
    ids, category_ids = table["annotation_id"].tolist(), table["category_id"].tolist()
    boxes = table[BOX].to_numpy()
    texts, extras = table["segmentation"].tolist(), table["extra"].tolist()
    images = annotations.images.sort_values("file_name", kind="stable")
    columns = images[["image_id", "file_name", "width", "height"]]
    for image_id, file_name, width, height in track(
        list(columns.itertuples(index=False, name=None)), f"writing {form.name}"
    ):
        on_image = []
        for row in rows_of.get(image_id, ()):
            text = None if pd.isna(texts[row]) else texts[row]
            try:
                polygons = polygons_of(text, boxes[row], height, width)
            except (AnnotationError, ValueError) as error:
                raise AnnotationError(f"{folder}: annotation {ids[row]}: {error}") from error
            was_rle = text is not None and text.startswith("{")
            extra = _own_keys(extras[row])
            on_image.append(
                AnnotationToWrite(category_ids[row], boxes[row], polygons, was_rle, extra)
            )
        yield ImageToWrite(file_name, width, height, on_image)


def polygons_of(
    text: str | None, box: NDArray[np.float64], height: int, width: int
) -> list[NDArray[np.float64]]:
    """The outlines of an annotation, each (N, 2), pixels; none of a box.

    Args:
        text: Its segmentation, JSON of polygons or of an RLE; None of a box.
        box: `x_min, y_min, x_max, y_max`, pixels, (4,).
        height: Of the image, pixels.
        width: The same.

    Raises:
        AnnotationError: An RLE is damaged.
    """
    if text is None:
        return []
    segmentation = json.loads(text)
    if isinstance(segmentation, list):
        polygons = [np.array(flat, dtype=np.float64).reshape(-1, 2) for flat in segmentation]
        return [polygon for polygon in polygons if len(polygon) >= 3]
    outlines = mask_polygons(annotation_mask(text, box.tolist(), height, width))
    return [outline.astype(np.float64) for outline in outlines]


def _own_keys(extra: Any) -> dict[str, Any]:
    """The keys of a row's `extra` that no column repeats."""
    if pd.isna(extra):
        return {}
    return {key: value for key, value in json.loads(extra).items() if key not in _REPEATED}


def _common_losses(annotations: Annotations) -> dict[str, int]:
    """What no format of one file an image holds, with counts."""
    images, table, categories = annotations.images, annotations.annotations, annotations.categories
    image_ids = images.sort_values("file_name", kind="stable")["image_id"]
    written = table[~table["iscrowd"]]
    position = pd.Index(image_ids).get_indexer(written["image_id"])
    ids = written["annotation_id"].to_numpy()[np.argsort(position, kind="stable")]
    return {
        "crowd regions (left out)": int(table["iscrowd"].sum()),
        "pseudo-label marks": int((table["source"] != "human").sum()),
        "scores": int((table["score"] != 1).sum()),
        "image ids": int((image_ids.to_numpy() != np.arange(1, len(images) + 1)).sum()),
        "annotation ids": int((ids != np.arange(1, len(ids) + 1)).sum()),
        "groups": int((images["group"] != images["image_id"].astype("string")).sum()),
        "supercategories": int((categories["supercategory"] != "").sum()),
        "rows with keys of their own": sum(
            bool(_own_keys(extra))
            for extra in [*images["extra"].tolist(), *categories["extra"].tolist()]
        ),
        "keys of the file": len(annotations.extra),
    }
