"""The labelled images of a training as one annotation file that all three libraries read.

The file is in the OpenMMLab 2.0 format: ``metainfo`` and a ``data_list`` of one entry a sample,
with the images' absolute paths, so that no image is copied.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from recycling.annotations import BOX, Annotations, LabeledImages
from recycling.annotations.masks import segmentation_rle
from recycling.backends.core import BackendError, TrainingData
from recycling.backends.shared.checkpoint_folder import sha256_of_data
from recycling.backends.shared.model import Task
from recycling.backends.shared.training_annotations import check_annotations, is_pseudo
from recycling.errors import cut, listed, visible
from recycling.files import write_image

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
        sha256: Of the annotations and images that it was made from.
        boxes_without_mask: How many boxes have no polygons or RLE; some detectors need them.
        ignore_regions: How many boxes are regions where nothing is learnt as background.
        pseudo: The samples that models have labelled: the first, and the one after the last, of
            each part.
        soft_labels: Whether samples have a probability of each class, ``gt_score``.
        images_an_epoch: How many samples an epoch takes; None takes all.
    """

    file: Path
    classes: list[str]
    n_samples: int
    sha256: str
    boxes_without_mask: int = 0
    ignore_regions: int = 0
    pseudo: tuple[tuple[int, int], ...] = ()
    soft_labels: bool = False
    images_an_epoch: int | None = None


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
    pseudo: list[tuple[int, int]] = []
    images_an_epoch = data.images_an_epoch
    for number, labeled in enumerate(data.train):
        check_annotations(labeled.annotations, class_of, "training annotations")
        first = len(samples)
        if task == "cls":
            samples += _crops(labeled, data)
        elif task == "det":
            samples += _boxed_images(labeled, class_of)
        else:
            samples += _images_with_label_maps(
                labeled, data.categories, folder / f"label_maps_{number}"
            )
        if is_pseudo(labeled.annotations):
            pseudo.append((first, len(samples)))
        if images_an_epoch is None and data.epoch_parts == number + 1:
            images_an_epoch = len(samples)
    if not samples:
        raise BackendError(
            f"nothing to train {task} on: the {len(data.train)} part(s) hold no annotated image; "
            "check the folds and the annotations"
        )
    soft_labels = any("gt_score" in sample for sample in samples)
    if soft_labels:
        for sample in samples:
            sample.setdefault("gt_score", _one_hot(sample["gt_label"], len(class_of)))
    instances = [instance for sample in samples for instance in sample.get("instances", ())]
    classes = [*(["background"] if task == "seg" else []), *data.class_names]
    file = folder / "train.json"
    file.write_text(json.dumps({"metainfo": {"classes": classes}, "data_list": samples}))
    return TrainingSet(
        file,
        classes,
        len(samples),
        sha256_of_data(data),
        boxes_without_mask=sum("mask" not in instance for instance in instances),
        ignore_regions=sum(instance["ignore_flag"] for instance in instances),
        pseudo=tuple(pseudo),
        soft_labels=soft_labels,
        # Parts without a sample make no epoch of no length.
        images_an_epoch=images_an_epoch or None,
    )


@dataclass(frozen=True)
class BySource:
    """A training set in two.

    Attributes:
        labelled: Its samples that nobody's model has labelled.
        unlabelled: The annotation file of the others.
    """

    labelled: TrainingSet
    unlabelled: Path


def split_by_source(data: TrainingSet) -> BySource:
    """Part the samples that models have labelled from the others, each in a file beside.

    Args:
        data: A training set of boxes; without such samples there is nothing to part.

    Raises:
        BackendError: Models have labelled all samples.
    """
    files = BySource(data, data.file)
    if not data.pseudo:
        return files
    content = json.loads(data.file.read_text())
    samples = content["data_list"]
    of_models = {n for first, end in data.pseudo for n in range(first, end)}
    parts = {
        "labelled": [each for n, each in enumerate(samples) if n not in of_models],
        "unlabelled": [each for n, each in enumerate(samples) if n in of_models],
    }
    if not parts["labelled"]:
        raise BackendError(
            "nothing labelled to train on beside pseudo-labels; check the folds and the annotations"
        )
    for name, part in parts.items():
        file = data.file.with_name(f"{name}.json")
        file.write_text(json.dumps({**content, "data_list": part}))
    instances = [each for sample in parts["labelled"] for each in sample["instances"]]
    labelled = replace(
        data,
        file=data.file.with_name("labelled.json"),
        n_samples=len(parts["labelled"]),
        boxes_without_mask=sum("mask" not in each for each in instances),
        ignore_regions=sum(each["ignore_flag"] for each in instances),
        pseudo=(),
    )
    return BySource(labelled, data.file.with_name("unlabelled.json"))


def _one_hot(index: int, n_classes: int) -> list[float]:
    return [float(each == index) for each in range(n_classes)]


def _images(labeled: LabeledImages) -> Iterator[tuple[dict[str, Any], list[Record]]]:
    """Each image, as the libraries name its fields, with its annotations."""
    by_image: dict[int, list[Record]] = defaultdict(list)
    for annotation in labeled.annotations.annotations.to_dict("records"):
        by_image[annotation["image_id"]].append(annotation)
    folder = labeled.folder.path.resolve()
    for image in labeled.annotations.images.to_dict("records"):
        info = {
            "img_path": str(folder / image["file_name"]),
            "height": image["height"],
            "width": image["width"],
        }
        yield info, by_image[image["image_id"]]


def _crops(labeled: LabeledImages, data: TrainingData) -> list[dict[str, Any]]:
    class_of = data.class_of
    return [
        {
            "img_path": info["img_path"],
            "box": [annotation[edge] for edge in BOX],
            "gt_label": class_of[annotation["category_id"]],
            **soft_label(annotation, data),
        }
        for info, annotations in _images(labeled)
        for annotation in annotations
        if not annotation["iscrowd"]
    ]


def soft_label(annotation: Record, data: TrainingData) -> dict[str, list[float]]:
    """The probability of each class of an annotation, as mmpretrain names it, where it has them.

    Args:
        annotation: Its `extra` may hold ``{"probabilities": {category name: p, ...}}``; a category
            that is not named has 0.
        data: Whose categories they are.

    Raises:
        BackendError: A category is unknown, or the numbers are no probabilities; one line.
    """
    extra = annotation["extra"]
    if not isinstance(extra, str) or '"probabilities"' not in extra:
        return {}
    given = json.loads(extra).get("probabilities")
    if given is None:
        return {}
    where = f"training annotations: annotation {annotation['annotation_id']}: probabilities"
    if not isinstance(given, dict) or not all(
        isinstance(p, (int, float)) and 0 <= p <= 1 for p in given.values()
    ):
        raise BackendError(f"{where} are {cut(str(given))}; give each category a number, 0 to 1")
    for name in given:
        if name not in data.class_names:
            raise BackendError(
                f"{where}: no category {visible(name)}; there are {listed(data.class_names)}"
            )
    total = sum(given.values())
    if abs(total - 1) > 0.01:
        raise BackendError(f"{where} add up to {total:g}; make them add up to 1")
    return {"gt_score": [given.get(name, 0.0) / total for name in data.class_names]}


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
    if annotation["source"] == "pseudo":
        instance["score"] = float(annotation["score"])
    if isinstance(annotation["segmentation"], str):
        mask = json.loads(annotation["segmentation"])
        if isinstance(mask, dict) and isinstance(mask["counts"], list):
            mask = segmentation_rle(annotation["segmentation"], *mask["size"])
        instance["mask"] = mask
    elif annotation["iscrowd"]:
        # Nothing is learnt from it, so it need not keep a network from learning from masks.
        corners = ("x_min", "y_min", "x_max", "y_min", "x_max", "y_max", "x_min", "y_max")
        instance["mask"] = [[annotation[edge] for edge in corners]]
    return instance


def _images_with_label_maps(
    labeled: LabeledImages, categories: pd.DataFrame, folder: Path
) -> list[dict[str, Any]]:
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
        try:
            write_image(path, painted[image_id])
        except OSError as error:
            raise BackendError(f"{path}: could not be written: {error.strerror}") from error
        samples.append({"img_path": info["img_path"], "seg_map_path": str(path.resolve())})
    return samples
