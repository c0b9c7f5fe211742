"""The labelled images of a training as one annotation file that all three libraries read.

The file is in the OpenMMLab 2.0 format: ``metainfo`` and a ``data_list`` of one entry a sample,
with the images' absolute paths, so that no image is copied.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from recycling.annotations import BOX, Annotations, LabeledImages
from recycling.backends.core import BackendError, TrainingData
from recycling.backends.shared.checkpoint_folder import sha256_of_data
from recycling.backends.shared.model import Task
from recycling.backends.shared.training_annotations import check_annotations

Record: TypeAlias = dict[Hashable, Any]
"""A row of a table, by column."""


@dataclass(frozen=True)
class TrainingSet:
    """What a library trains on.

    Attributes:
        file: The annotation file.
        classes: The names of the classes, in the order of their indices; for masks they begin
            with the background.
        n_samples: How many images, or crops, there are.
        sha256: Of the annotations that it was made from.
        boxes_without_mask: How many boxes have no polygons or RLE; some detectors need them.
    """

    file: Path
    classes: list[str]
    n_samples: int
    sha256: str
    boxes_without_mask: int = 0


def write_training_set(task: Task, data: TrainingData, folder: Path) -> TrainingSet:
    """Write the annotation file of a training, and the label maps that it names.

    Args:
        task: ``cls`` gives one sample an annotation, the others one an image.
        data: What to train on.
        folder: Where to write.

    Raises:
        BackendError: There is nothing to train on, or an annotation that cannot be learnt from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    class_of = data.class_of
    samples: list[dict[str, Any]] = []
    for number, labeled in enumerate(data.train):
        check_annotations(labeled.annotations, class_of, "training annotations")
        if task == "cls":
            samples += _crops(labeled, class_of)
        elif task == "det":
            samples += _boxed_images(labeled, class_of)
        else:
            samples += _images_with_label_maps(
                labeled, data.categories, folder / f"label_maps_{number}"
            )
    if not samples:
        raise BackendError(
            f"nothing to train {task} on: the {len(data.train)} part(s) hold no annotated image; "
            "check the folds and the annotations"
        )
    classes = [*(["background"] if task == "seg" else []), *data.class_names]
    file = folder / "train.json"
    file.write_text(json.dumps({"metainfo": {"classes": classes}, "data_list": samples}))
    return TrainingSet(
        file,
        classes,
        len(samples),
        sha256_of_data(data),
        boxes_without_mask=sum(
            "mask" not in instance for sample in samples for instance in sample.get("instances", ())
        ),
    )


def _images(labeled: LabeledImages) -> Iterator[tuple[dict[str, Any], list[Record]]]:
    """Each image, as the libraries name its fields, with its annotations."""
    by_image: dict[int, list[Record]] = defaultdict(list)
    columns = ["image_id", "category_id", *BOX, "segmentation", "iscrowd"]
    for annotation in labeled.annotations.annotations[columns].to_dict("records"):
        by_image[annotation["image_id"]].append(annotation)
    folder = labeled.folder.path.resolve()
    for image in labeled.annotations.images.to_dict("records"):
        info = {
            "img_path": str(folder / image["file_name"]),
            "height": image["height"],
            "width": image["width"],
        }
        yield info, by_image[image["image_id"]]


def _crops(labeled: LabeledImages, class_of: dict[int, int]) -> list[dict[str, Any]]:
    return [
        {
            "img_path": info["img_path"],
            "box": [annotation[edge] for edge in BOX],
            "gt_label": class_of[annotation["category_id"]],
        }
        for info, annotations in _images(labeled)
        for annotation in annotations
        if not annotation["iscrowd"]
    ]


def _boxed_images(labeled: LabeledImages, class_of: dict[int, int]) -> list[dict[str, Any]]:
    return [
        {**info, "instances": [_instance(annotation, class_of) for annotation in annotations]}
        for info, annotations in _images(labeled)
    ]


def _instance(annotation: Record, class_of: dict[int, int]) -> dict[str, Any]:
    """A box as the libraries name its fields, with its polygons or RLE where it has them."""
    instance = {
        "bbox": [annotation[edge] for edge in BOX],
        "bbox_label": class_of[annotation["category_id"]],
        "ignore_flag": int(annotation["iscrowd"]),
    }
    if isinstance(annotation["segmentation"], str):
        instance["mask"] = json.loads(annotation["segmentation"])
    return instance


def _images_with_label_maps(
    labeled: LabeledImages, categories: pd.DataFrame, folder: Path
) -> list[dict[str, Any]]:
    import cv2

    from recycling.annotations.masks import label_maps

    folder.mkdir(exist_ok=True)
    annotations = Annotations(
        labeled.annotations.images,
        labeled.annotations.annotations,
        categories,
        labeled.annotations.extra,
    )
    painted = label_maps(annotations)
    samples = []
    for (info, _), image_id in zip(
        _images(labeled), annotations.images["image_id"].tolist(), strict=True
    ):
        path = folder / f"{image_id}.png"
        if not cv2.imwrite(str(path), painted[image_id]):
            raise BackendError(f"{path}: could not be written; is the disk full?")
        samples.append({"img_path": info["img_path"], "seg_map_path": str(path.resolve())})
    return samples
