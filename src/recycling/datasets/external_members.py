"""The CSV files of others that the competitions take, as Kedro datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from recycling.datasets.core import OptionalPathDataset, PathOptions, one_of
from recycling.predictions import (
    ExternalMembers,
    ExternalPart,
    MissingImages,
    UnusualBoxes,
    members_in,
)


class ExternalMembersDataset(OptionalPathDataset[ExternalMembers]):
    """A folder of predictions of others: CSV files, each a member, read when it is asked for.

    ``NAME.csv`` makes a member of that name; ``NAME.oof.csv`` holds its predictions of the train
    images, each by a model that has not seen it. A folder that is missing or empty has no members.

    Example::

        det.external.test:
          type: recycling.datasets.ExternalMembersDataset
          filepath: data/07_model_output/det/external

        det.external.out_of_fold:
          type: recycling.datasets.ExternalMembersDataset
          filepath: data/07_model_output/det/external
          part: out_of_fold

    Args:
        filepath: The folder.
        part: Which of the two kinds of file to take.
        missing_images: Whether an image that a file lacks is an error or is gone on without. By
            default it is an error for test images; files of out-of-fold predictions may hold the
            images of some folds, and count for these.
        unusual_boxes: Whether boxes that do not look like boxes in pixels of their images (shares,
            pixels of another size) stop the run, or are warned of.
        common: As for `PathDataset`, without a version.
    """

    mirrored = ()
    not_a_value = "each file in it is a member, and is read when asked for"

    def __init__(
        self,
        *,
        filepath: str | Path,
        part: ExternalPart = "test",
        missing_images: MissingImages | None = None,
        unusual_boxes: UnusualBoxes = "error",
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.part = one_of(part, ExternalPart, "part", filepath)
        if missing_images is None:
            missing_images = "skip" if self.part == "out_of_fold" else "error"
        self.missing_images = one_of(missing_images, MissingImages, "missing_images", filepath)
        self.unusual_boxes = one_of(unusual_boxes, UnusualBoxes, "unusual_boxes", filepath)

    def read(self, path: Path) -> ExternalMembers:  # noqa: D102
        return ExternalMembers(
            members_in(path, self.part),
            missing_images=self.missing_images,
            unusual_boxes=self.unusual_boxes,
        )
