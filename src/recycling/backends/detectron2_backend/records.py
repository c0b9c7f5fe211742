"""Images and annotations in detectron2's standard form: one dict an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, ImageFolder
from recycling.annotations.images.decoding import UnreadableImageError, read_image
from recycling.annotations.masks import segmentation_rle
from recycling.backends.core import BackendError, TrainingData
from recycling.backends.shared.training_annotations import check_annotations, is_pseudo
from recycling.errors import one_line


def training_records(data: TrainingData, config: Any, name: str) -> list[dict[str, Any]]:
    """What to train on; the images are numbered anew, since ids may repeat across parts.

    Args:
        data: The labelled images; they stay where they are.
        config: Says whether masks are asked for, and whether images without objects count.
        name: What the model is called in a message.

    Raises:
        BackendError: There is nothing to train on, an image is missing, or an annotation cannot
            be learnt from.
    """
    from detectron2.data.build import filter_images_with_only_crowd_annotations

    class_of = data.class_of
    records: list[dict[str, Any]] = []
    for part, labeled in enumerate(data.train):
        pseudo = is_pseudo(labeled.annotations)
        check_annotations(labeled.annotations, class_of, name, masks=config.MODEL.MASK_ON)
        by_image = dict(list(labeled.annotations.annotations.groupby("image_id", sort=False)))
        none = labeled.annotations.annotations.iloc[:0]
        for image in labeled.annotations.images.itertuples(index=False):
            record = image_record(image, labeled.folder, len(records))
            objects = by_image.get(image.image_id, none)  # type: ignore[arg-type]
            record["part"], record["pseudo"] = part, pseudo
            record["annotations"] = _objects(objects, class_of, config.MODEL.MASK_ON)
            records.append(record)
    if config.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        records = filter_images_with_only_crowd_annotations(records)
    if not records:
        raise BackendError(
            f"{name}: nothing to train on: the {len(data.train)} part(s) hold no annotated image; "
            "check the folds and the annotations"
        )
    return records


def image_record(
    image: Any, folder: ImageFolder, number: Any, pixels: NDArray[np.uint8] | None = None
) -> dict[str, Any]:
    """One image, as detectron2 names its fields.

    Args:
        image: A row of an images table.
        folder: Where its file is.
        number: The image's number in the library.
        pixels: (H, W, 3) RGB, where the image is in memory.

    Raises:
        BackendError: There is no such file.
    """
    path = (folder.path / str(image.file_name)).resolve()
    if pixels is None and not path.is_file():
        raise BackendError(f"{path}: no such file; check the image folder")
    return {
        "file_name": str(path),
        "image_id": int(number),
        "width": int(image.width),
        "height": int(image.height),
        **({} if pixels is None else {"pixels": pixels}),
    }


@contextmanager
def naming_the_file(record: dict[str, Any]) -> Iterator[None]:
    """Name the image of a record in the error of reading it."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise BackendError(
            f"{record['file_name']}: cannot be used: {one_line(error)}; run data_cleaning"
        ) from error


def read_record(record: dict[str, Any], image_format: str) -> NDArray[np.uint8]:
    """The image of a record, as everything in the project reads it.

    Args:
        record: The library's record of an image.
        image_format: The order of the network's colours, ``BGR`` or ``RGB``.

    Returns:
        (H, W, 3).

    Raises:
        BackendError: It cannot be read.
        detectron2.data.detection_utils.SizeMismatchError: It has another size than the record.
    """
    from detectron2.data.detection_utils import check_image_size

    image: NDArray[np.uint8]
    try:
        image = record["pixels"] if "pixels" in record else read_image(record["file_name"])
    except UnreadableImageError as error:
        raise BackendError(f"{error}; run data_cleaning") from error
    check_image_size(dict(record), image)
    if image_format != "BGR":
        return image
    import cv2

    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _objects(table: pd.DataFrame, class_of: dict[int, int], masks: bool) -> list[dict[str, Any]]:
    from detectron2.structures import BoxMode

    objects: list[dict[str, Any]] = [
        {
            "bbox": box,
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": class_of[category_id],
            # What this marks is no object; see `samples.TrainingMapper`.
            "iscrowd": int(iscrowd),
        }
        for box, category_id, iscrowd in zip(
            table[BOX].to_numpy().tolist(),
            table["category_id"].tolist(),
            table["iscrowd"].tolist(),
            strict=True,
        )
    ]
    if masks:
        for record, segmentation in zip(objects, table["segmentation"].tolist(), strict=True):
            if isinstance(segmentation, str):
                record["segmentation"] = _mask(json.loads(segmentation))
    return objects


def _mask(segmentation: Any) -> Any:
    if isinstance(segmentation, list):
        # pycocotools would take a ring of two points for a box.
        return [ring for ring in segmentation if len(ring) >= 6]
    if isinstance(segmentation["counts"], list):
        return segmentation_rle(json.dumps(segmentation), *segmentation["size"])
    return segmentation
