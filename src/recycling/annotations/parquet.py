"""Annotations as a folder of Parquet tables, for the steps between the COCO files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recycling.annotations.core import (
    ANNOTATIONS,
    BOX,
    CATEGORIES,
    IMAGES,
    SCHEMAS,
    AnnotationError,
    Annotations,
)
from recycling.errors import visible
from recycling.files import new_folder
from recycling.names import LEAVES_FOLDER
from recycling.stored_tables import Ids, StoredTable
from recycling.tables import Schema, TableError

_JUDGED = ("image_id", "category_id", *BOX, "area", "iscrowd", "source")
_OBJECTS = Schema("annotations", tuple(own for own in ANNOTATIONS.columns if own.name in _JUDGED))
_DRAWN = ("annotation_id", "image_id", "category_id", *BOX, "segmentation", "iscrowd")
_SHAPES = Schema("annotations", tuple(own for own in ANNOTATIONS.columns if own.name in _DRAWN))


def write_tables(annotations: Annotations, folder: str | Path) -> None:
    """Write ``images.parquet``, ``annotations.parquet``, ``categories.parquet``, ``extra.json``.

    The same annotations always give the same bytes. The folder is replaced as a whole.

    Args:
        annotations: What to write.
        folder: Where to; what it held before is gone.

    >>> folder = getfixture("tmp_path") / "annotations"
    >>> categories = pd.DataFrame({"category_id": [3], "name": "Glass", "supercategory": ""})
    >>> images, annotations = SCHEMAS["images"].empty(), SCHEMAS["annotations"].empty()
    >>> write_tables(Annotations(images, annotations, categories.assign(extra=None)), folder)
    >>> read_tables(folder).categories["name"].tolist()
    ['Glass']
    """
    checked = annotations.conform()
    with new_folder(Path(folder)) as unfinished:
        for name in SCHEMAS:
            getattr(checked, name).to_parquet(unfinished / f"{name}.parquet", index=False)
        (unfinished / "extra.json").write_text(json.dumps(dict(annotations.extra), indent=1))


def read_tables(folder: str | Path) -> Annotations:
    """Read what `write_tables` wrote.

    Args:
        folder: The folder.

    Returns:
        The annotations.

    Raises:
        AnnotationError: A file is missing, damaged or not of the schema; one line that names it.
    """
    folder = Path(folder)
    tables = {name: _table(folder / f"{name}.parquet", schema) for name, schema in SCHEMAS.items()}
    _check_names(tables["images"]["file_name"], folder / "images.parquet")
    return Annotations(**tables, extra=_extra(folder / "extra.json"))


@dataclass(frozen=True)
class StoredAnnotations:
    """What `write_tables` wrote, read some images at a time.

    Attributes:
        folder: The folder.

    Example:
        >>> folder = getfixture("tmp_path") / "annotations"
        >>> images = pd.DataFrame({"image_id": [8, 3], "file_name": "", "width": 1, "height": 1})
        >>> tables = images.assign(group="", extra=None), ANNOTATIONS.empty(), CATEGORIES.empty()
        >>> write_tables(Annotations(*tables), folder)
        >>> parts = StoredAnnotations(folder).parts(np.array([5]))
        >>> [part.images["image_id"].tolist() for part in parts]
        [[3], [8]]
    """

    folder: Path

    @property
    def images(self) -> StoredTable:
        """The images."""
        return StoredTable(self.folder / "images.parquet", IMAGES)

    @property
    def objects(self) -> StoredTable:
        """Of the annotations what they are judged by: place, category, area, and who made them."""
        return StoredTable(self.folder / "annotations.parquet", _OBJECTS)

    @property
    def categories(self) -> pd.DataFrame:
        """The categories, whole."""
        return _table(self.folder / "categories.parquet", CATEGORIES)

    @property
    def extra(self) -> dict[str, Any]:
        """What no table holds."""
        return _extra(self.folder / "extra.json")

    def whole(self) -> Annotations:
        """All of them, as `read_tables` reads them."""
        return read_tables(self.folder)

    def parts(self, bounds: Ids) -> Iterator[Annotations]:
        """What is on the images below the first bound, from there below the second, and so on.

        Args:
            bounds: (parts - 1,) ids of images, ascending.

        Yields:
            Of the images their ids, in ascending order, and `objects`.
        """
        image_ids = self.images.sample(1)
        image_ids.sort()
        own = np.split(image_ids, np.searchsorted(image_ids, bounds))
        categories = self.categories
        for ids, objects in zip(own, self.objects.parts(bounds), strict=True):
            yield Annotations(pd.DataFrame({"image_id": ids}), objects, categories)

    def shapes(self, bounds: Ids) -> Iterator[Annotations]:
        """What is on the images, as `parts`, and where.

        Args:
            bounds: (parts - 1,) ids of images, ascending.

        Yields:
            The images, and of their annotations the categories, boxes and segmentations.
        """
        categories = self.categories
        drawn = StoredTable(self.folder / "annotations.parquet", _SHAPES)
        for images, shapes in zip(self.images.parts(bounds), drawn.parts(bounds), strict=True):
            yield Annotations(images, shapes, categories)


def _extra(path: Path) -> dict[str, Any]:
    try:
        extra = json.loads(path.read_text())
    except FileNotFoundError:
        raise _missing(path) from None
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON: {error}; write the folder again") from error
    if not isinstance(extra, dict):
        raise AnnotationError(f"{path}: not an object of JSON; write the folder again")
    return extra


def _table(path: Path, schema: Schema) -> pd.DataFrame:
    try:
        return schema.conform(pd.read_parquet(path), where=str(path))
    except FileNotFoundError:
        raise _missing(path) from None
    except TableError as error:
        raise AnnotationError(f"{error}; write the folder again") from error
    except (OSError, ValueError) as error:
        raise AnnotationError(
            f"{path}: damaged Parquet ({str(error).splitlines()[0]}); write the folder again"
        ) from error


def _check_names(names: pd.Series, path: Path) -> None:
    """Stop where a file name is no path below the folder of images."""
    bad = names.str.contains(LEAVES_FOLDER, regex=True)
    if bad.any():
        raise AnnotationError(
            f"{path}: file_name {visible(names[bad].iloc[0])} leaves the image folder; write the "
            "folder again"
        )


def _missing(path: Path) -> AnnotationError:
    return AnnotationError(f"{path}: no such file; run the step that writes this folder")
