"""Kedro datasets for the CSV files that the competitions take, ours and those of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic, TypeVar, Unpack

from kedro.io import DatasetError

from recycling.annotations import Annotations, read_coco, read_tables
from recycling.datasets.core import (
    OptionalPathDataset,
    PathDataset,
    PathOptions,
    local_path,
    one_of,
)
from recycling.predictions import (
    ClassProbabilities,
    Detections,
    ExternalMembers,
    ExternalPart,
    LabelMaps,
    MissingImages,
    UnusualBoxes,
    check_boxes,
    members_in,
    read_class_probabilities_csv,
    read_detections_csv,
    read_label_maps_csv,
    write_class_probabilities_csv,
    write_classes_csv,
    write_detections_csv,
    write_label_maps_csv,
)

Value = TypeVar("Value")


class SubmissionDataset(PathDataset[Value], Generic[Value]):
    """Predictions as a CSV file, which names images and categories by what an annotation file says.

    Example::

        det.final.submission:
          type: recycling.datasets.DetectionsCsvDataset
          filepath: data/07_model_output/det/final/submission.csv
          annotations: data/03_primary/test

    Args:
        filepath: The CSV file.
        annotations: What tells the images (the crops, for classes) and categories: a folder of
            Parquet tables, or a COCO file.
        missing_images: Whether an image without a row is an error, or is gone on without: it has no
            boxes, or a map of 255 ("ignore"), or the same probability for all classes.
        common: As for `PathDataset`.
    """

    def __init__(
        self,
        *,
        filepath: str | Path,
        annotations: str | Path,
        missing_images: MissingImages = "error",
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(filepath=filepath, **common)
        self.annotations = local_path(annotations, "annotations")
        self.missing_images = one_of(missing_images, MissingImages, "missing_images", filepath)

    def known(self) -> Annotations:
        """What the images, crops and categories are.

        Raises:
            DatasetError: There is nothing at `annotations`.
        """
        path = self.annotations
        if not path.exists():
            raise DatasetError(f"{path}: not there; it should tell the images and categories")
        return read_tables(path) if path.is_dir() else read_coco(path)


class DetectionsCsvDataset(SubmissionDataset[Detections]):
    """Boxes as a submission: ``PredictionString,image_id``."""

    def read(self, path: Path) -> Detections:  # noqa: D102
        known = self.known()
        boxes = read_detections_csv(
            path, known.images, known.categories, missing_images=self.missing_images
        )
        check_boxes(boxes, known.images, path)
        return boxes

    def write(self, data: Detections, path: Path) -> None:  # noqa: D102
        known = self.known()
        write_detections_csv(data, path, known.images, known.categories)


class LabelMapsCsvDataset(SubmissionDataset[LabelMaps]):
    """Label maps as a submission: ``image_id,PredictionString``, one class number a pixel.

    Args:
        filepath: The CSV file.
        annotations: As for `SubmissionDataset`.
        size: Side of the square that maps are stored as, pixels.
        missing_images: As for `SubmissionDataset`.
        common: As for `PathDataset`.
    """

    def __init__(
        self,
        *,
        filepath: str | Path,
        annotations: str | Path,
        size: int = 256,
        missing_images: MissingImages = "error",
        **common: Unpack[PathOptions],
    ) -> None:
        super().__init__(
            filepath=filepath, annotations=annotations, missing_images=missing_images, **common
        )
        self.size = _checked_size(size, filepath)

    def read(self, path: Path) -> LabelMaps:  # noqa: D102
        known = self.known()
        return read_label_maps_csv(
            path,
            known.images,
            known.categories,
            size=self.size,
            missing_images=self.missing_images,
        )

    def write(self, data: LabelMaps, path: Path) -> None:  # noqa: D102
        write_label_maps_csv(data, path, self.known().images, size=self.size)


class ClassProbabilitiesCsvDataset(SubmissionDataset[ClassProbabilities]):
    """Class probabilities as a CSV file: ``annotation_id`` and a column for each category's name.

    A file of ``annotation_id,category`` is read too, as certainties.
    """

    def read(self, path: Path) -> ClassProbabilities:  # noqa: D102
        known = self.known()
        return read_class_probabilities_csv(
            path, known.annotations, known.categories, missing_images=self.missing_images
        )

    def write(self, data: ClassProbabilities, path: Path) -> None:  # noqa: D102
        write_class_probabilities_csv(data, path)


class ClassesCsvDataset(ClassProbabilitiesCsvDataset):
    """Classes as a submission: ``annotation_id,category``; what is saved is the most probable."""

    def write(self, data: ClassProbabilities, path: Path) -> None:  # noqa: D102
        write_classes_csv(data, path)


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


def _checked_size(size: Any, filepath: str | Path) -> int:
    if not isinstance(size, int) or size < 1:
        raise DatasetError(f"{filepath}: size is {size!r}; give a whole number from 1 up")
    return size
