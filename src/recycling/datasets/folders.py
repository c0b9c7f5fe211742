"""Kedro datasets for folders of this machine whose files others read and write."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from recycling.annotations import ImageCache, ImageFolder
from recycling.backends import Recipes, RunFolder
from recycling.datasets.core import OptionalPathDataset, PathDataset, PathOptions
from recycling.experiments import Runs


class ImageFolderDataset(PathDataset[ImageFolder]):
    """A folder of images.

    Args:
        filepath: The folder.
        required: Whether a run stops where it is missing; if not, that is said once.
        common: As for `PathDataset`, without a version.
    """

    not_a_value = "its images are opened one by one"

    def __init__(
        self,
        *,
        filepath: str | Path,
        required: bool = True,
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.required = required

    def load(self) -> ImageFolder:  # noqa: D102
        return super().load() if self.required else self.read(self.filepath)

    def read(self, path: Path) -> ImageFolder:  # noqa: D102
        return ImageFolder(path)

    def _exists(self) -> bool:
        return self.filepath.is_dir() or not self.required


class RunFolderDataset(OptionalPathDataset[RunFolder]):
    """The folder of the trainings' logs, which they make themselves."""

    not_a_value = "trainings write into it while they run"

    def read(self, path: Path) -> RunFolder:  # noqa: D102
        return RunFolder(path)


class ImageCacheDataset(OptionalPathDataset[ImageCache]):
    """What was found out about image files, kept from run to run; checking them writes it."""

    not_a_value = "checking images writes to it, from run to run"

    def read(self, path: Path) -> ImageCache:  # noqa: D102
        return ImageCache(path)


class RecipesDataset(PathDataset[Recipes]):
    """The folder of model configs."""

    not_a_value = "its files are looked up by name, and name one another"

    def read(self, path: Path) -> Recipes:  # noqa: D102
        return Recipes(path)


class RunsDataset(OptionalPathDataset[Runs]):
    """The folder of the manifests of runs, which each run writes itself."""

    not_a_value = "runs write into it while they go"

    def read(self, path: Path) -> Runs:  # noqa: D102
        return Runs(path)
