"""Kedro datasets for labels of whole images."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from recycling.annotations import Annotations
from recycling.annotations.formats.class_labels import read_class_csv, read_class_folders
from recycling.datasets.core import PathDataset, PathOptions, Source, one_of


class ClassFoldersDataset(PathDataset[Annotations]):
    """Images in a folder for each class, as annotations whose boxes are whole images.

    Example::

        train.raw_annotations:
          type: recycling.datasets.ClassFoldersDataset
          filepath: data/01_raw/documents/train
          classes: [invoice, letter, passport]

    Args:
        filepath: The folder of class folders; the entry of the images names it, too.
        classes: The classes in their order, of which some may have no folder; by default those
            that have one. Give them where another part of the data might lack one.
        source: Who made the labels.
        common: As for `PathDataset`, without a version.
    """

    not_a_value = "it is a folder of images, which are opened one by one"

    def __init__(
        self,
        *,
        filepath: str | Path,
        classes: list[str] | None = None,
        source: Source = "human",
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.classes = None if classes is None else [str(name) for name in classes]
        self.source = one_of(source, Source, "source", filepath)

    def read(self, path: Path) -> Annotations:  # noqa: D102
        return read_class_folders(path, classes=self.classes, source=self.source)


class ClassCsvDataset(PathDataset[Annotations]):
    """Labels of images in a CSV file, as annotations whose boxes are whole images.

    Example::

        train.raw_annotations:
          type: recycling.datasets.ClassCsvDataset
          filepath: data/01_raw/faces/train.csv
          images: images
          labels: [mask, gender, age]
          group: person
          values:
            mask: [worn, wrong, none]
            gender: [female, male]
            age: [young, middle, old]

    Args:
        filepath: The CSV file.
        images: The folder of images; seen from the folder that `filepath` is in, if that is here.
        labels: The columns of labels; several make a class of each combination of their values.
        file_name: The column of file names.
        group: The column of groups, whose images stay in one fold.
        values: A column's values in their order; by default those that occur. Give them where
            another part of the data might lack one.
        source: Who made the labels.
        common: As for `PathDataset`.
    """

    def __init__(
        self,
        *,
        filepath: str | Path,
        images: str | Path,
        labels: list[str] | None = None,
        file_name: str = "file_name",
        group: str | None = None,
        values: dict[str, list[str]] | None = None,
        source: Source = "human",
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.images = self.beside(images, "images")
        self.labels = ["label"] if labels is None else list(labels)
        self.file_name = file_name
        self.group = group
        # YAML reads some names of classes as numbers.
        self.values = {column: list(map(str, own)) for column, own in (values or {}).items()}
        self.source = one_of(source, Source, "source", filepath)

    def read(self, path: Path) -> Annotations:  # noqa: D102
        return read_class_csv(
            path,
            self.images,
            labels=self.labels,
            file_name=self.file_name,
            group=self.group,
            values=self.values,
            source=self.source,
        )
