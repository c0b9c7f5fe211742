"""Annotation files that lie one beside each image, as Pascal VOC and YOLO have them.

What the two formats share: which file belongs to which image, the tables that come of what the
files say, and what has to be true of annotations before they can be written.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations.core import (
    ANNOTATIONS,
    BOX,
    CATEGORIES,
    IMAGES,
    AnnotationError,
    Annotations,
)
from recycling.annotations.formats.coco.layout import ABSENT, COLUMN_KEYS
from recycling.annotations.masks import annotation_area, annotation_mask
from recycling.errors import Faults
from recycling.files import new_folder
from recycling.progress import track
from recycling.tables import TableError

_log = logging.getLogger(__name__)

PICTURES = frozenset({".bmp", ".dng", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
"""Endings of image files, those that supervision knows."""

_EXIF_ORIENTATION = 0x0112
_EXIF_TURNED = (5, 6, 7, 8)  # orientations that swap width and height
_REPEATED = {ABSENT}.union(*COLUMN_KEYS.values())  # keys of `extra` that a column has too


@dataclass(frozen=True)
class Pair:
    """An image with the annotation file that goes with it.

    Attributes:
        file_name: The image's path below the image folder, with forward slashes.
        image: The image file.
        sidecar: The annotation file; None where there is none.
    """

    file_name: str
    image: Path
    sidecar: Path | None


@dataclass(frozen=True)
class Found:
    """One annotation as a file tells it.

    Attributes:
        category: Its category's id or name.
        box: `x_min, y_min, x_max, y_max`, pixels.
        polygons: `[[x, y, x, y, ...], ...]`, pixels; empty where there is only a box.
        score: Confidence, 0 to 1.
        extra: What else the file says of it.
    """

    category: int | str
    box: list[float]
    polygons: list[list[float]] = field(default_factory=list)
    score: float = 1.0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
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
class Sheet:
    """All that is written for one image.

    Attributes:
        file_name: The image's path below the image folder.
        width: Pixels.
        height: Pixels.
        entries: What is on it, without crowd regions.
    """

    file_name: str
    width: int
    height: int
    entries: list[Entry]


def paired(sidecars: Path, images: Path, suffix: str, *, no_sidecar: str = "") -> list[Pair]:
    """Find which annotation file belongs to which image, by their paths without endings.

    Args:
        sidecars: The folder of annotation files.
        images: The folder of images, with the same subfolders.
        suffix: Ending of annotation files, with its dot, lower case.
        no_sidecar: A file of that ending which other tools put there, and which needs no image.

    Returns:
        Every image, in the order of file names. Those without an annotation file hold nothing;
        they are counted in one warning.

    Raises:
        AnnotationError: A folder is missing or holds none of its files, an annotation file has no
            image, or two images would share one.
    """
    names = _listed(images, PICTURES, "image folder")
    found = _listed(sidecars, {suffix}, "annotation folder")
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(_stem(name), []).append(name)
    faults = Faults(sidecars, AnnotationError)
    for shared in by_stem.values():
        if len(shared) > 1:
            faults.add("two images share an annotation file, rename one", " and ".join(shared))
    for name in found:
        if _stem(name) not in by_stem and name != no_sidecar:
            faults.add(f"no image of that name in {images}, add it or remove the file", name)
    faults.raise_if_any()
    files = {_stem(name): sidecars / name for name in found}
    pairs = [Pair(name, images / name, files.get(_stem(name))) for name in names]
    bare = [pair.file_name for pair in pairs if pair.sidecar is None]
    if bare:
        _log.warning(
            "%s: %d of %d images have no %s file and are taken to hold nothing, the first: %s",
            sidecars,
            len(bare),
            len(pairs),
            suffix,
            bare[0],
        )
    return pairs


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height of an image as a viewer shows it, pixels; None where it is unreadable.

    Only the header is read.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(_EXIF_ORIENTATION) in _EXIF_TURNED
    except Exception:  # decoders raise whatever they like on damaged headers
        return None
    return (height, width) if turned else (width, height)


def as_tables(
    pairs: Sequence[Pair],
    sizes: Sequence[tuple[int, int]],
    found: Sequence[Sequence[Found]],
    categories: Mapping[int, str],
    *,
    where: str,
    source: Literal["human", "pseudo"],
) -> Annotations:
    """Put what the files say into tables.

    Args:
        pairs: The images; they are numbered from 1 in this order.
        sizes: Width and height of each, pixels.
        found: The annotations of each; they are numbered from 1 through all images. Their
            categories are ids.
        categories: Names by id, in order.
        where: What to call the source in messages.
        source: Who made the annotations.

    Returns:
        The tables. Areas are those of the masks, or of the boxes where there is none.
    """
    rows: list[tuple[Any, ...]] = []
    for image_id, ((width, height), on_it) in enumerate(zip(sizes, found, strict=True), 1):
        for one in on_it:
            text = json.dumps(one.polygons, separators=(",", ":")) if one.polygons else None
            area = annotation_area(text, one.box, height, width)
            extra = json.dumps(one.extra, separators=(",", ":")) if one.extra else None
            ids = (len(rows) + 1, image_id, one.category)
            rows.append((*ids, *one.box, area, text, False, source, one.score, extra))
    widths, heights = ([size[side] for size in sizes] for side in (0, 1))
    image_ids = list(range(1, len(pairs) + 1))
    images = pd.DataFrame(
        {
            "image_id": image_ids,
            "file_name": [pair.file_name for pair in pairs],
            "width": widths,
            "height": heights,
            "group": [str(image_id) for image_id in image_ids],
            "extra": None,
        }
    )
    families = pd.DataFrame(
        {
            "category_id": list(categories),
            "name": list(categories.values()),
            "supercategory": "",
            "extra": None,
        }
    )
    table = pd.DataFrame(rows, columns=ANNOTATIONS.names)
    return Annotations(
        images=IMAGES.conform(images, where=f"{where}, images"),
        annotations=ANNOTATIONS.conform(table, where=f"{where}, annotations"),
        categories=CATEGORIES.conform(families, where=f"{where}, categories"),
    )


def check_writable(annotations: Annotations, where: Path, suffix: str) -> None:
    """Stop where annotations cannot be written one file an image.

    Args:
        annotations: The tables.
        where: The folder that is to be written.
        suffix: Ending of annotation files.

    Raises:
        AnnotationError: A table is not of its schema, an image has no path below the folder or
            would share its file with another, or an annotation has no image, no category or a box
            of no area. One line.
    """
    from supervision.dataset.utils import check_no_basename_collisions

    try:
        IMAGES.conform(annotations.images, where="images")
        ANNOTATIONS.conform(annotations.annotations, where="annotations")
        CATEGORIES.conform(annotations.categories, where="categories")
    except TableError as error:
        raise AnnotationError(f"{where}: {error}; correct the table") from error
    images, table = annotations.images, annotations.annotations
    faults = Faults(where, AnnotationError)
    for name in images["file_name"].tolist():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.name:
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
            images["file_name"].tolist(), lambda name: _stem(name) + suffix, "annotation"
        )
    except ValueError as error:
        raise AnnotationError(f"{where}: {error}") from error


def sheets(annotations: Annotations, *, where: Path, doing: str) -> Iterator[Sheet]:
    """What is to be written, image by image, in the order of file names.

    A generator: polygons are made when their image's turn comes. An RLE becomes the contours that
    supervision draws through the outermost pixels of its mask.

    Args:
        annotations: The tables, which `check_writable` lets pass.
        where: The folder that is written.
        doing: What to call the work in the progress line.

    Yields:
        One sheet an image.

    Raises:
        AnnotationError: An RLE is damaged.
    """
    table = annotations.annotations[~annotations.annotations["iscrowd"]]
    places: dict[Any, Any] = dict(table.groupby("image_id").indices)
    ids, category_ids = table["annotation_id"].tolist(), table["category_id"].tolist()
    boxes = table[BOX].to_numpy()
    texts, extras = table["segmentation"].tolist(), table["extra"].tolist()
    images = annotations.images.sort_values("file_name", kind="stable")
    columns = images[["image_id", "file_name", "width", "height"]]
    for image_id, file_name, width, height in track(
        list(columns.itertuples(index=False, name=None)), doing
    ):
        entries = []
        for row in places.get(image_id, ()):
            text = None if pd.isna(texts[row]) else texts[row]
            try:
                polygons = _polygons(text, boxes[row], height, width)
            except (AnnotationError, ValueError) as error:
                raise AnnotationError(f"{where}: annotation {ids[row]}: {error}") from error
            was_rle = text is not None and text.startswith("{")
            extra = _own_keys(extras[row])
            entries.append(Entry(category_ids[row], boxes[row], polygons, was_rle, extra))
        yield Sheet(file_name, width, height, entries)


def warn_of_losses(
    annotations: Annotations, losses: Mapping[str, int], *, where: Path, form: str
) -> None:
    """Say once, with counts, what the files do not hold.

    Args:
        annotations: What was written.
        losses: What this format loses beside what both formats lose, with counts.
        where: The folder that was written.
        form: The format's name.
    """
    images, table, categories = annotations.images, annotations.annotations, annotations.categories
    in_order = images.sort_values("file_name", kind="stable")["image_id"].to_numpy()
    place = {image_id: place for place, image_id in enumerate(in_order.tolist())}
    written = table[~table["iscrowd"]]
    written = written.iloc[np.argsort(written["image_id"].map(place).to_numpy(), kind="stable")]
    counts = {
        "crowd regions (left out)": int(table["iscrowd"].sum()),
        "pseudo-label marks": int((table["source"] != "human").sum()),
        "scores": int((table["score"] != 1).sum()),
        "image ids": int((in_order != np.arange(1, len(in_order) + 1)).sum()),
        "annotation ids": int(
            (written["annotation_id"].to_numpy() != np.arange(1, len(written) + 1)).sum()
        ),
        "groups": int((images["group"] != images["image_id"].astype("string")).sum()),
        "supercategories": int((categories["supercategory"] != "").sum()),
        "rows with keys of their own": sum(
            bool(_own_keys(extra))
            for extra in [*images["extra"].tolist(), *categories["extra"].tolist()]
        ),
        "keys of the file": len(annotations.extra),
    }
    said = [f"{count} {what}" for what, count in {**counts, **losses}.items() if count]
    if said:
        _log.warning(
            "%s: %s does not hold all that there is, keep the COCO file too; not kept: %s",
            where,
            form,
            ", ".join(said),
        )


@contextmanager
def replaced(folder: Path, suffix: str) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `folder` when all is written.

    Args:
        folder: Where the files belong; what it held before is gone.
        suffix: Ending of the files that it may have held.

    Yields:
        The new folder.

    Raises:
        AnnotationError: The folder is a file, or holds other files, which would be deleted.
    """
    if folder.exists() and not folder.is_dir():
        raise AnnotationError(f"{folder}: is a file; give a folder")
    strangers = [name for name in _files(folder) if Path(name).suffix.lower() != suffix]
    if strangers:
        raise AnnotationError(
            f"{folder}: holds {len(strangers)} files that are not {suffix} files and would be "
            f"deleted, the first: {min(strangers)}; write to a folder of its own"
        )
    with new_folder(folder) as unfinished:
        yield unfinished


def sidecar_path(folder: Path, file_name: str, suffix: str) -> Path:
    """Where the annotation file of an image belongs; its folder is made where there is none."""
    path = folder / f"{_stem(file_name)}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _listed(folder: Path, suffixes: set[str] | frozenset[str], what: str) -> list[str]:
    """Paths of a folder's files of some endings, below it, sorted."""
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such {what}; check the path")
    names = sorted(name for name in _files(folder) if Path(name).suffix.lower() in suffixes)
    if not names:
        raise AnnotationError(
            f"{folder}: the {what} holds no file that ends in {', '.join(sorted(suffixes))}; "
            "check the path"
        )
    return names


def _files(folder: Path) -> Iterator[str]:
    for root, _, names in os.walk(folder, followlinks=True):
        below = Path(root).relative_to(folder)
        yield from ((below / name).as_posix() for name in names)


def _stem(file_name: str) -> str:
    return PurePosixPath(file_name).with_suffix("").as_posix()


def _polygons(
    text: str | None, box: NDArray[np.float64], height: int, width: int
) -> list[NDArray[np.float64]]:
    from supervision.dataset.utils import approximate_mask_with_polygons

    if text is None:
        return []
    segmentation = json.loads(text)
    if isinstance(segmentation, list):
        parts = [np.array(one, dtype=np.float64).reshape(-1, 2) for one in segmentation]
        return [part for part in parts if len(part) >= 3]
    mask = annotation_mask(text, box.tolist(), height, width)
    if not mask.any():
        return []
    contours = approximate_mask_with_polygons(mask, bridge_holes=True)
    return [np.asarray(contour, dtype=np.float64) for contour in contours]


def _own_keys(extra: Any) -> dict[str, Any]:
    """The keys of a row's `extra` that no column repeats."""
    if pd.isna(extra):
        return {}
    return {key: value for key, value in json.loads(extra).items() if key not in _REPEATED}
