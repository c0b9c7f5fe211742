"""Kedro datasets for folders of this machine whose files others read and write."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Unpack

from kedro.io import DatasetError

from recycling.annotations import ImageCache, ImageFolder
from recycling.annotations.cleaning.corrections import (
    Corrections,
    read_corrections,
    write_corrections,
)
from recycling.augmented_sets import AugmentedSet, AugmentedSets
from recycling.backends import Recipes, RunFolder
from recycling.datasets.core import OptionalPathDataset, PathDataset, PathOptions
from recycling.errors import one_line
from recycling.experiments import Runs
from recycling.files import write_json
from recycling.placeholders import folder_of_placeholders


class ImageFolderDataset(PathDataset[ImageFolder]):
    """A folder of images.

    Args:
        filepath: The folder.
        required: Whether a run stops where it is missing; if not, that is said once.
        cache_gigabytes: Of a folder at a URL, how many gigabytes of its images are kept on this
            machine. An image is fetched when it is opened; those fetched first go first.
        common: As for `PathDataset`, without a version.
    """

    has_stand_in = True
    not_a_value = "its images are opened one by one"

    def __init__(
        self,
        *,
        filepath: str | Path,
        required: bool = True,
        cache_gigabytes: float = 20,
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.required = required
        self.cache_gigabytes = cache_gigabytes

    def load(self) -> ImageFolder:  # noqa: D102
        return super().load() if self.required else self.read(self.filepath)

    def read(self, path: Path) -> ImageFolder:  # noqa: D102
        return ImageFolder(path)

    def _stand_in(self, url: str) -> Path:
        try:
            return folder_of_placeholders(url, int(self.cache_gigabytes * 1e9))
        except OSError as error:
            raise DatasetError(f"{url}: cannot be listed: {one_line(error)}") from error

    def _exists(self) -> bool:
        return self.filepath.is_dir() or not self.required


class RunFolderDataset(OptionalPathDataset[RunFolder]):
    """The folder of the trainings' logs, which they make themselves."""

    mirrored = ("*/data/*", "*/checkpoint/*", "*/starts/*")  # made anew, and stored as values
    not_a_value = "trainings write into it while they run"

    def read(self, path: Path) -> RunFolder:  # noqa: D102
        return RunFolder(path)


class ImageCacheDataset(OptionalPathDataset[ImageCache]):
    """What was found out about image files, kept from run to run; checking them writes it."""

    not_a_value = "checking images writes to it, from run to run"

    def read(self, path: Path) -> ImageCache:  # noqa: D102
        return ImageCache(path)


class CorrectionsDataset(OptionalPathDataset[Corrections]):
    """Corrections that a person has decided on: a file of YAML, which need not be there."""

    has_stand_in = False
    not_a_value = "it is written from case to case, and read as it is"

    def read(self, path: Path) -> Corrections:  # noqa: D102
        return read_corrections(path)

    def write(self, data: Corrections, path: Path) -> None:  # noqa: D102
        head = ["Decided on in the viewer (kedro view), one entry of correct_annotations a line."]
        write_corrections(path, data, head)


class ThumbnailsDataset(OptionalPathDataset[ImageFolder]):
    """The folder of reduced images, which the viewer makes on this machine."""

    not_a_value = "the viewer writes into it when it shows an image"

    def read(self, path: Path) -> ImageFolder:  # noqa: D102
        return ImageFolder(path)


class RecipesDataset(PathDataset[Recipes]):
    """The folder of model configs."""

    not_a_value = "its files are looked up by name, and name one another"

    def read(self, path: Path) -> Recipes:  # noqa: D102
        return Recipes(path)


class RunsDataset(OptionalPathDataset[Runs]):
    """The folder of the manifests of runs, which each run writes itself."""

    mirrored = ("*/kept/*",)  # it is copied there, and fetched when it is compared
    not_a_value = "runs write into it while they go"

    def read(self, path: Path) -> Runs:  # noqa: D102
        return Runs(path, self.url)


class AugmentedSetsDataset(OptionalPathDataset[AugmentedSets]):
    """The folder of all augmented sets, each in a folder that is named by its hash."""

    not_a_value = "sets are made in it, and found again"

    def read(self, path: Path) -> AugmentedSets:  # noqa: D102
        return AugmentedSets(path)


class AugmentedSetDataset(PathDataset[AugmentedSet]):
    """Which folder an augmented set is: a file of JSON that names it.

    The folder itself is neither copied nor removed, however large it is. Where it is said to be at
    a URL, both are of this machine alone, in the user's cache folder.
    """

    has_stand_in = True
    not_a_value = "it names a folder of this machine"

    def read(self, path: Path) -> AugmentedSet:  # noqa: D102
        return AugmentedSet(path.parent / json.loads(path.read_bytes())["folder"])

    def write(self, data: AugmentedSet, path: Path) -> None:  # noqa: D102
        write_json(path, {"folder": os.path.relpath(data.folder, path.parent)})

    def _exists(self) -> bool:
        return super()._exists() and self.read(self.filepath).folder.is_dir()
