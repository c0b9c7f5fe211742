"""An augmented set as a value: a folder of images with their annotations and a sheet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from recycling.annotations import Annotations, ImageFolder, LabeledImages, read_tables

TABLES, SHEET = "annotations", "sheet.json"
"""The annotations of a set, and what was made of what, in its folder."""

SOURCE = "augmented_from"
"""The key in an image's `extra` that says of which image it is a copy."""

MADE_UP = "made_up"
"""The key in a region's `extra` that says that a transform has made up its pixels."""


class AugmentedSetError(ValueError):
    """An augmented set cannot be made or used: one line, which, what is wrong, what to do."""


def sha256_of_tables(annotations: Annotations) -> str:
    """Of what is annotated on which images, as 64 hex digits."""
    digest = hashlib.sha256()
    for table in (annotations.images, annotations.annotations, annotations.categories):
        digest.update(table.to_csv(index=False).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class AugmentedSets:
    """The folder of all sets: a folder for each, named by the hash of what it is made of.

    Attributes:
        path: The folder; it need not exist.
    """

    path: Path


@dataclass(frozen=True)
class AugmentedSet:
    """Augmented copies of images.

    Attributes:
        folder: Holds the images, the tables `annotations` and `sheet.json`. It is there whole or
            not at all.
    """

    folder: Path

    @cached_property
    def sheet(self) -> dict[str, Any]:
        """What was made of what: settings, numbers of images, objects by category, versions.

        Raises:
            AugmentedSetError: The folder is no set.
        """
        try:
            sheet: dict[str, Any] = json.loads((self.folder / SHEET).read_bytes())
        except (OSError, ValueError) as error:
            raise AugmentedSetError(
                f"{self.folder}: not an augmented set; remove it, and run its pipeline: kedro run "
                "--pipelines augmented_sets"
            ) from error
        return sheet

    @cached_property
    def annotations(self) -> Annotations:
        """The annotations of the copies.

        File names are relative to the folder of all sets and begin with the hash: trainings on
        different sets never look alike. The border that a transform has made up is a crowd region,
        so that no segmenter learns it as background.
        """
        return read_tables(self.folder / TABLES)

    @cached_property
    def sources(self) -> pd.Series:
        """Of which image each copy is: the source's id by the copy's."""
        images = self.annotations.images
        ids = [json.loads(extra)[SOURCE] for extra in images["extra"]]
        return pd.Series(ids, index=images["image_id"], dtype="int64")

    def check_made_of(self, annotations: Annotations) -> None:
        """Stop where the copies are of other annotations: nothing would tell their folds.

        Raises:
            AugmentedSetError: They are.
        """
        if self.sheet["made_of"] != sha256_of_tables(annotations):
            raise AugmentedSetError(
                f"{self.folder}: the copies are of other annotations than those of now; make the "
                "set anew: kedro run --pipelines augmented_sets"
            )

    def copies_of(self, image_ids: Collection[int], *, made_up_regions: bool) -> LabeledImages:
        """The copies of some images.

        Args:
            image_ids: The ids of the images that were copied.
            made_up_regions: Whether borders that were made up are marked; detectors, which would
                take the box around such a region for one to be ignored, are better without.
        """
        sources = self.sources
        kept = self.annotations.of_images(sources.index[sources.isin(list(image_ids))].tolist())
        if not made_up_regions:
            rows = kept.annotations
            made_up = rows["iscrowd"] & rows["extra"].str.contains(f'"{MADE_UP}"').fillna(False)
            kept = replace(kept, annotations=rows[~made_up].reset_index(drop=True))
        return LabeledImages(kept, ImageFolder(self.folder.parent))
