"""Predictions that were dropped into a folder as CSV files: each is a member of an ensemble."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

from recycling.errors import Faults
from recycling.predictions.core import ClassProbabilities, Detections, LabelMaps, SubmissionError
from recycling.predictions.formats.boxes import read_detections_csv
from recycling.predictions.formats.classes import read_class_probabilities_csv
from recycling.predictions.formats.masks import read_label_maps_csv
from recycling.predictions.formats.rows import MissingImages

logger = logging.getLogger(__name__)

DroppedPart: TypeAlias = Literal["test", "out_of_fold"]
"""What a file predicts: the test images (``NAME.csv``) or the train images, each by a model that
has not seen it (``NAME.oof.csv``)."""


class DroppedMembers(Mapping[str, Path]):
    """The files of members, by name; each is read when it is asked for.

    Args:
        files: The file of each member.
        size: Side of the maps in a file of masks, pixels.
        missing_images: Whether an image without a row is an error or is gone on without.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        *,
        size: int = 256,
        missing_images: MissingImages = "error",
    ) -> None:
        self._files = dict(files)
        self._size = size
        self._missing = missing_images

    def __getitem__(self, name: str) -> Path:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def detections(self, name: str, images: pd.DataFrame, categories: pd.DataFrame) -> Detections:
        """The boxes of one member; see `read_detections_csv`."""
        return read_detections_csv(self[name], images, categories, missing_images=self._missing)

    def label_maps(self, name: str, images: pd.DataFrame, categories: pd.DataFrame) -> LabelMaps:
        """The label maps of one member; see `read_label_maps_csv`."""
        return read_label_maps_csv(
            self[name], images, categories, size=self._size, missing_images=self._missing
        )

    def class_probabilities(
        self, name: str, annotations: pd.DataFrame, categories: pd.DataFrame
    ) -> ClassProbabilities:
        """The class probabilities of one member; see `read_class_probabilities_csv`."""
        return read_class_probabilities_csv(
            self[name], annotations, categories, missing_images=self._missing
        )


def members_in(folder: Path, part: DroppedPart = "test") -> dict[str, Path]:
    """Find the members that were dropped into a folder.

    Hidden files and ``*.md`` may lie beside them; other files are counted in a warning.

    Args:
        folder: The folder; where it is missing, or empty, there are no members.
        part: Whether to take ``NAME.csv`` or ``NAME.oof.csv``.

    Returns:
        The file of each member by its name, sorted by name.

    Raises:
        SubmissionError: A name is none for a member, or a ``NAME.oof.csv`` lacks its ``NAME.csv``.
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise SubmissionError(f"{folder}: is a file; members are dropped into a folder")
    faults = Faults(folder, SubmissionError)
    files: dict[DroppedPart, dict[str, Path]] = {"test": {}, "out_of_fold": {}}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix == ".md":
            continue
        if path.suffix.lower() != ".csv":
            others.append(path.name)
            continue
        match = re.fullmatch(r"([a-z][a-z0-9_]*)(\.oof)?\.csv", path.name)
        if match is None:
            faults.add(
                "not a name for a member, rename it to lower-case letters, digits and _, "
                "beginning with a letter, then .csv or .oof.csv",
                path.name,
            )
            continue
        files["out_of_fold" if match[2] else "test"][match[1]] = path
    for name in files["out_of_fold"].keys() - files["test"].keys():
        faults.add(
            "predictions of the train images but none of the test images, add them",
            f"{name}.oof.csv lacks {name}.csv",
        )
    faults.raise_if_any()
    if others:
        logger.warning(
            "%s: %d files are no CSV files and are left out: %s",
            folder,
            len(others),
            ", ".join(others[:3]) + (", ..." if len(others) > 3 else ""),
        )
    return dict(sorted(files[part].items()))
