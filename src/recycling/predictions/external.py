"""Predictions of others: CSV files in a folder, each of which is a member of an ensemble."""

from __future__ import annotations

import logging
import re
from collections import UserDict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

from recycling.errors import Faults, listed
from recycling.predictions.core import Predictions, SubmissionError
from recycling.predictions.formats.rows import MissingImages
from recycling.predictions.plausible import UnusualBoxes
from recycling.predictions.submission import ClassFormat, Format, read_submission
from recycling.registry import PickedSettings

logger = logging.getLogger(__name__)

ExternalPart: TypeAlias = Literal["test", "out_of_fold"]
"""What a file predicts: the test images (``NAME.csv``) or the train images, each by a model that
has not seen it (``NAME.oof.csv``)."""


class ExternalMembers(UserDict[str, Path]):
    """The files of members, by name; each is read when it is asked for.

    Args:
        files: The file of each member.
        missing_images: Whether an image without a row is an error or is gone on without.
        unusual_boxes: Whether boxes that do not look like boxes on their images are an error.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        *,
        missing_images: MissingImages = "error",
        unusual_boxes: UnusualBoxes = "error",
    ) -> None:
        super().__init__(files)
        self._missing = missing_images
        self._unusual = unusual_boxes

    def read(
        self,
        name: str,
        settings: PickedSettings,
        images: pd.DataFrame,
        categories: pd.DataFrame,
        dropped: pd.DataFrame | None = None,
    ) -> Predictions:
        """The predictions of one member; see `read_submission`.

        Args:
            name: The member's name.
            settings: The format of its file: a `ClassFormat`, `BoxFormat` or `MaskFormat`.
            images: The images that were to be predicted; for classes the crops.
            categories: The categories.
            dropped: Further images, which cleaning dropped; rows of them are passed over.
        """
        return read_submission(
            settings,
            self[name],
            images,
            categories,
            missing_images=self._missing,
            unusual_boxes=self._unusual,
            dropped=dropped,
        )

    def covered(self, name: str, settings: PickedSettings, images: pd.DataFrame) -> pd.DataFrame:
        """Those of the images that one member predicts, where it may lack some.

        Args:
            name: The member's name.
            settings: The format of its file.
            images: The images that were to be predicted; for classes the crops.

        Raises:
            SubmissionError: It predicts none of them.
        """
        picked: Format = settings.picked
        if self._missing == "error" or picked.rows_in is None:
            return images
        covered = images.iloc[picked.rows_in(self[name], images)]
        if covered.empty and not images.empty:
            what = "crops" if isinstance(settings, ClassFormat) else "images"
            raise SubmissionError(f"{self[name]}: has a row of none of the {len(images)} {what}")
        return covered


def members_in(folder: Path, part: ExternalPart = "test") -> dict[str, Path]:
    """Find the files of members in a folder.

    Hidden files and ``*.md`` may lie beside them; other files are counted in a warning.

    Args:
        folder: The folder; where it is missing, or empty, there are no members.
        part: Whether to take ``NAME.csv`` or ``NAME.oof.csv``.

    Returns:
        The file of each member by its name, sorted by name.

    Raises:
        SubmissionError: A name is none for a member, or a ``NAME.oof.csv`` lacks its ``NAME.csv``.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Path(folder, "colleague.csv").touch()
        ...     list(members_in(Path(folder)))
        ['colleague']
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise SubmissionError(f"{folder}: is a file; it should be the folder of members' files")
    faults = Faults(folder, SubmissionError)
    files: dict[ExternalPart, dict[str, Path]] = {"test": {}, "out_of_fold": {}}
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
            listed(others, 3),
        )
    return dict(sorted(files[part].items()))
