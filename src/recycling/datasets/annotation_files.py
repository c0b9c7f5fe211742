"""Kedro datasets for annotations in the formats that other tools read and write."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, Unpack

from kedro.io import DatasetError

from recycling.annotations import (
    Annotations,
    joined,
    read_coco,
    read_label_studio,
    read_pascal_voc,
    read_yolo,
    write_coco,
    write_pascal_voc,
    write_yolo,
)
from recycling.datasets.core import PathDataset, PathOptions, Source, one_of

DuplicateIds = Literal["error", "renumber"]


class CocoDataset(PathDataset[Annotations]):
    """Annotations in a COCO JSON file, plain or gzip, on this machine or elsewhere.

    Example::

        train.raw_annotations:
          type: recycling.datasets.CocoDataset
          filepath: s3://bucket/annotations.json.gz
          credentials: my_bucket
          duplicate_ids: renumber

    Args:
        filepath: The file, plain or gzip.
        share: Take only the images whose position in a fixed shuffle, from 0 to 1, lies in
            ``[share[0], share[1])``: so one file can serve as train, pool and test part. The
            position comes from the `group`, hence near-identical shots stay together. Such an entry
            does not save.
        source: Who made the annotations that do not say so themselves.
        duplicate_ids: Whether a second annotation of the same id is an error or gets a new one.
        common: As for `PathDataset`.

    Raises:
        DatasetError: An option has no sense; one line.
    """

    def __init__(
        self,
        *,
        filepath: str | Path,
        share: tuple[float, float] | None = None,
        source: Source = "human",
        duplicate_ids: DuplicateIds = "error",
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.share = _checked_share(share, filepath)
        self.source = one_of(source, Source, "source", filepath)
        self.duplicate_ids = one_of(duplicate_ids, DuplicateIds, "duplicate_ids", filepath)

    def read(self, path: Path) -> Annotations:  # noqa: D102
        return self._shared(read_coco(path, source=self.source, duplicate_ids=self.duplicate_ids))

    def write(self, data: Annotations, path: Path) -> None:  # noqa: D102
        if self.share is not None:
            raise DatasetError(
                f"{self}: an entry with a share is a part of its file and does not save; save to "
                "an entry without one"
            )
        write_coco(data, path)

    def _shared(self, annotations: Annotations) -> Annotations:
        if self.share is None:
            return annotations
        low, high = self.share
        position = annotations.images["group"].map(_shuffled)
        chosen = annotations.images.loc[(position >= low) & (position < high), "image_id"]
        if chosen.empty:
            raise DatasetError(
                f"{self.url or self.filepath}: no image lies in the share {low:g} to {high:g}"
            )
        return annotations.of_images(chosen)


class PascalVocDataset(PathDataset[Annotations]):
    """Annotations as a folder of Pascal VOC files.

    Example::

        train.raw_annotations:
          type: recycling.datasets.PascalVocDataset
          filepath: data/01_raw/voc/Annotations
          images: JPEGImages

    Args:
        filepath: The folder of XML files.
        images: The folder of images, needed to load; seen from the folder that `filepath` is in.
        categories: The names in their order; by default those that occur, sorted.
        source: Who made the annotations.
        common: As for `PathDataset`.
    """

    def __init__(
        self,
        *,
        filepath: str | Path,
        images: str | Path,
        categories: list[str] | None = None,
        source: Source = "human",
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.images = self.beside(images, "images")
        self.categories = categories
        self.source = one_of(source, Source, "source", filepath)

    def read(self, path: Path) -> Annotations:  # noqa: D102
        return read_pascal_voc(path, self.images, categories=self.categories, source=self.source)

    def write(self, data: Annotations, path: Path) -> None:  # noqa: D102
        write_pascal_voc(data, path)


class YoloDataset(PathDataset[Annotations]):
    """Annotations as a folder of YOLO labels.

    Example::

        train.raw_annotations:
          type: recycling.datasets.YoloDataset
          filepath: data/01_raw/yolo/train/labels
          images: images
          data_yaml: ../data.yaml

    Args:
        filepath: The folder of label files.
        images: The folder of images, needed to load; seen from the folder that `filepath` is in.
        data_yaml: The file that names the classes, seen from there too.
        scores: Whether every line ends in a score.
        source: Who made the annotations.
        common: As for `PathDataset`.
    """

    def __init__(
        self,
        *,
        filepath: str | Path,
        images: str | Path,
        data_yaml: str | Path,
        scores: bool = False,
        source: Source = "human",
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.images = self.beside(images, "images")
        self.data_yaml = self.beside(data_yaml, "data_yaml")
        self.scores = scores
        self.source = one_of(source, Source, "source", filepath)

    def read(self, path: Path) -> Annotations:  # noqa: D102
        return read_yolo(path, self.images, self.data_yaml, scores=self.scores, source=self.source)

    def write(self, data: Annotations, path: Path) -> None:  # noqa: D102
        write_yolo(data, path, self.data_yaml)


class LabelStudioDataset(PathDataset[Annotations]):
    """What people have labelled in Label Studio, alone or added to annotations that were there.

    Example::

        train.raw_annotations:
          type: recycling.datasets.LabelStudioDataset
          filepath: data/01_raw/labelled.json
          images: images
          folder: may
          adds_to: train.json

    Args:
        filepath: The tasks, exported as JSON.
        images: The folder of images, needed to load; seen from the folder that `filepath` is in.
        folder: Where in it the images of the tasks are, if their names do not say so; ``.`` for
            that folder itself.
        adds_to: A COCO file, seen from there too; an image of both is as it was labelled now.
        duplicate_ids: Whether a second annotation of the same id in it is an error or gets a new
            one.
        categories: The names in their order; by default those that occur, sorted.
        common: As for `PathDataset`.
    """

    def __init__(
        self,
        *,
        filepath: str | Path,
        images: str | Path,
        folder: str = "",
        adds_to: str | Path | None = None,
        duplicate_ids: DuplicateIds = "error",
        categories: list[str] | None = None,
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.images = self.beside(images, "images")
        self.folder = folder
        self.adds_to = None if adds_to is None else self.beside(adds_to, "adds_to")
        self.duplicate_ids = one_of(duplicate_ids, DuplicateIds, "duplicate_ids", filepath)
        self.categories = categories

    def read(self, path: Path) -> Annotations:  # noqa: D102
        labelled = read_label_studio(
            path, self.images, folder=self.folder, categories=self.categories
        )
        if self.adds_to is None:
            return labelled
        return joined(read_coco(self.adds_to, duplicate_ids=self.duplicate_ids), labelled)


def _checked_share(share: Any, filepath: str | Path) -> tuple[float, float] | None:
    if share is None:
        return None
    try:
        low, high = map(float, share)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 1:
        raise DatasetError(
            f"{filepath}: share is {share!r}; give two numbers from 0 to 1, the lower one first"
        )
    return low, high


def _shuffled(group: str) -> float:
    """The position of a group in a fixed shuffle, from 0 to 1."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:12], 16) / 16**12
