"""What has been predicted already, kept part by part, so that whoever is stopped goes on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recycling.annotations import IMAGES
from recycling.backends.shared.model import Task
from recycling.files import new_folder
from recycling.inference.objects import OBJECTS, Found
from recycling.inference.sources import Source
from recycling.predictions import LabelMap, LabelMaps
from recycling.tables import Column, Schema

_IMAGES, _OBJECTS, _MAPS = "images.parquet", "objects.parquet", "label_maps"

PREDICTED = Schema(
    "predicted images",
    (
        Column("image_id", "int64", "the image's number in its part", unique=True),
        Column("file_name", "string", "what it is called"),
        Column("address", "string", "its path, or its URL"),
        Column("size", "Int64", "bytes of the file", nullable=True),
        Column("modified", "string", "when the file was written"),
        Column("width", "int64", "pixels", minimum=1),
        Column("height", "int64", "pixels", minimum=1),
    ),
)


@dataclass(frozen=True)
class Predicted:
    """What was found on all images.

    Attributes:
        task: What was predicted.
        images: Schema `IMAGES`; numbered from 1, by name.
        objects: What was found; schema `OBJECTS`.
        categories: Schema `CATEGORIES`.
        sources: The files, by image id.
        maps: The label maps of a segmenter.
    """

    task: Task
    images: pd.DataFrame
    objects: pd.DataFrame
    categories: pd.DataFrame
    sources: dict[int, Source]
    maps: LabelMaps | None = None


class Parts:
    """A folder with a folder a part, each whole or not there.

    Args:
        folder: Where the parts of all that predicts are.
        identity: Of what predicts: what anything else has predicted is not looked at.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.own = folder / hashlib.sha256(identity.encode()).hexdigest()[:16]

    def missing(self, sources: Sequence[Source]) -> list[Source]:
        """Those that are in no part: new ones, and files that are others since."""
        known = {key for part in self._parts() for key in _keys(self._images(part))}
        return [source for source in sources if _key(source) not in known]

    def add(self, sources: Sequence[Source], images: pd.DataFrame, found: Found) -> None:
        """Keep what was found on some images.

        Args:
            sources: Their files.
            images: The same images, in the same order; schema `IMAGES`.
            found: What was found on them.

        Raises:
            OSError: There is no room; what was kept before is still there.
        """
        table = images[["image_id", "file_name", "width", "height"]].assign(
            address=[source.address for source in sources],
            size=pd.array([source.size for source in sources], dtype="Int64"),
            modified=[source.modified for source in sources],
        )
        table = PREDICTED.conform(table, where="predicted images")
        name = hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]
        with new_folder(self.own / name) as unfinished:
            table.to_parquet(unfinished / _IMAGES, index=False)
            found.objects.to_parquet(unfinished / _OBJECTS, index=False)
            if found.maps is not None:
                (unfinished / _MAPS).mkdir()
                found.maps.write(unfinished / _MAPS)

    def load(self, sources: Sequence[Source], task: Task, categories: pd.DataFrame) -> Predicted:
        """What was found on those of some images that are in a part.

        Args:
            sources: The files.
            task: What was predicted.
            categories: Schema `CATEGORIES`.
        """
        wanted = {_key(source): source for source in sources}
        rows, tables = [], []
        for part in self._parts():
            images = self._images(part)
            images = images[[key in wanted for key in _keys(images)]].assign(part=str(part))
            rows.append(images)
            objects = OBJECTS.conform(pd.read_parquet(part / _OBJECTS), where=str(part))
            tables.append(
                objects[objects["image_id"].isin(images["image_id"])].assign(part=str(part))
            )
        if not rows:
            return Predicted(task, IMAGES.empty(), OBJECTS.empty(), categories, {})
        images = pd.concat(rows).drop_duplicates(["file_name"]).sort_values("file_name")
        images = images.rename(columns={"image_id": "number"}).reset_index(drop=True)
        images.insert(0, "image_id", np.arange(1, len(images) + 1))
        number = images.set_index(["part", "number"])["image_id"].rename("new")
        some = [table for table in tables if len(table)] or tables[:1]
        objects = pd.concat(some).join(number, on=["part", "image_id"], how="inner")
        objects = objects.assign(image_id=objects["new"]).drop(columns=["part", "new"])
        objects = objects.sort_values(["image_id", "score"], ascending=[True, False], kind="stable")
        by_key = zip(images["image_id"].tolist(), _keys(images), strict=True)
        maps = None
        if task == "seg":
            columns = (images[name].tolist() for name in ("image_id", "part", "number"))
            place = {
                image_id: Path(part, _MAPS, f"{number}.png")
                for image_id, part, number in zip(*columns, strict=True)
            }
            maps = LabelMaps(list(place), lambda image_id: _read_map(place[image_id]))
        return Predicted(
            task,
            IMAGES.conform(
                images.assign(group=images["image_id"].astype(str), extra=None), where="images"
            ),
            OBJECTS.conform(objects, where="objects"),
            categories,
            {image_id: wanted[key] for image_id, key in by_key},
            maps,
        )

    def remove_others(self) -> None:
        """Remove what anything else has predicted."""
        for folder in self.folder.iterdir():
            if folder != self.own and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)

    def _parts(self) -> list[Path]:
        return sorted(path for path in self.own.glob("*") if not path.name.startswith("."))

    def _images(self, part: Path) -> pd.DataFrame:
        images = pd.read_parquet(part / _IMAGES)
        if "address" not in images:  # a part of an earlier version: of no known file
            images = images.assign(address="")
        return PREDICTED.conform(images, where=str(part / _IMAGES))


Key = tuple[str, str, int | None, str]


def _key(source: Source) -> Key:
    return source.name, source.address, source.size, source.modified


def _keys(images: pd.DataFrame) -> Iterator[Key]:
    sizes = images["size"].astype(object).where(images["size"].notna(), None)
    yield from zip(images["file_name"], images["address"], sizes, images["modified"], strict=True)


def _read_map(path: Path) -> LabelMap:
    return LabelMaps.from_folder(path.parent)[int(path.stem)]
