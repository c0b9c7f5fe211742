"""Kedro dataset for images without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from recycling.annotations import Annotations
from recycling.annotations.formats.unlabelled_images import read_unlabelled_images
from recycling.datasets.core import PathDataset, PathOptions, local_path


class UnlabelledImagesDataset(PathDataset[Annotations]):
    """A folder of images without labels, such as a competition's test set.

    With ``crops: {test: images}`` in the parameters, classifiers are asked about whole images.

    Example::

        test.raw_annotations:
          type: recycling.datasets.UnlabelledImagesDataset
          filepath: data/01_raw/documents/test
          names: data/01_raw/documents/sample_submission.csv
          file_name: ID

    Args:
        filepath: The folder; the entry of the images names it, too.
        names: A CSV file with a row an image; by default all images in and below the folder.
        file_name: Its column of file names.
        classes: The names of the categories; by default they are those of the labelled images.
        common: As for `PathDataset`, without a version.
    """

    not_a_value = "it is a folder of images, which are opened one by one"

    def __init__(
        self,
        *,
        filepath: str | Path,
        names: str | Path | None = None,
        file_name: str = "file_name",
        classes: list[str] | None = None,
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.names = None if names is None else local_path(names, "names")
        self.file_name = file_name
        self.classes = [str(name) for name in classes or ()]

    def read(self, path: Path) -> Annotations:  # noqa: D102
        return read_unlabelled_images(
            path, names=self.names, file_name=self.file_name, classes=self.classes
        )
