"""Defects that are planted in the training part, each on a list that tests can read.

Annotations are changed in the plain COCO dictionary before it is written, images in their files
after they are.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Json = dict[str, Any]

MISSPELT_ID = 11
MISSPELT_NAME = "Plastc bag"
MISSPELT_FOR = "Plastic bag"

WRONG_LABELS = (
    (90001, "Glass", "Plastic"),
    (90002, "Paper pack", "Paper"),
    (90003, "Clothing", "General trash"),
)
"""Annotation id, what the object is, what it is labelled as.

The ids are reserved, whatever the seed, so that a configuration can name them.
"""

_KEPT_OF_TRUNCATED = 0.55  # of the bytes: enough that a lenient decoder shows half an image
_SMALLEST_WRONG = 0.02  # of the image: large enough for a person to see the mistake


def plant_in_annotations(train: Json, rng: np.random.Generator) -> list[Json]:
    """Plant every kind of defect in the training annotations, in place.

    No image and no annotation has two defects.

    Args:
        train: A COCO dictionary without faults.
        rng: Chooses where the defects go.

    Returns:
        One entry a defect; `plant_in_files` does to the files what they say.

    Raises:
        ValueError: The set is too small to hold every defect.
    """
    dataset = _TrainingSet(train, rng)
    return [
        *_wrong_labels(dataset),
        _misspelt_category(dataset),
        *_boxes_outside(dataset),
        *_degenerate_boxes(dataset),
        _truncated_image(dataset),
        _duplicate_image(dataset),
    ]


def plant_in_files(folder: Path, defects: Sequence[Json]) -> None:
    """Cut off the images that are to be truncated, and copy those that are to be duplicated.

    Args:
        folder: The image folder that the file names are below.
        defects: What `plant_in_annotations` returned.
    """
    for defect in defects:
        if defect["kind"] == "truncated_image":
            path = folder / defect["file_name"]
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * _KEPT_OF_TRUNCATED)])
        elif defect["kind"] == "duplicate_image":
            shutil.copyfile(folder / defect["original_file_name"], folder / defect["file_name"])


class _TrainingSet:
    """The training set, and which of its images have no defect yet."""

    def __init__(self, train: Json, rng: np.random.Generator) -> None:
        self.images: list[Json] = train["images"]
        self.annotations: list[Json] = train["annotations"]
        self.categories: list[Json] = train["categories"]
        self.id_of = {category["name"]: category["id"] for category in self.categories}
        n_shots = Counter(image["group"] for image in self.images)
        single = [image for image in self.images if n_shots[image["group"]] == 1]
        self.free: list[Json] = [single[index] for index in rng.permutation(len(single))]
        self.of_image: dict[int, list[Json]] = {image["id"]: [] for image in self.images}
        for annotation in self.annotations:
            self.of_image[annotation["image_id"]].append(annotation)

    def take_image(self, what: str) -> Json:
        if not self.free:
            raise ValueError(f"train_images: too few images to plant {what}; ask for more")
        return self.free.pop()

    def take_annotation(self, what: str, suits: Callable[[Json, Json], bool]) -> Json:
        """The first annotation of a free image that suits; `suits` is given both."""
        for index, image in enumerate(self.free):
            for annotation in self.of_image[image["id"]]:
                if suits(image, annotation):
                    self.free.pop(index)
                    return annotation
        raise ValueError(f"train_images: too few images to plant {what}; ask for more")

    def next_id(self) -> int:
        ids = (int(annotation["id"]) for annotation in self.annotations)
        return max(number for number in ids if number < WRONG_LABELS[0][0]) + 1

    def add(self, image: Json, **keys: Any) -> Json:
        annotation = {"id": self.next_id(), "image_id": image["id"], **keys, "iscrowd": 0}
        self.annotations.append(annotation)
        return annotation


def _wrong_labels(dataset: _TrainingSet) -> list[Json]:
    defects = []
    for reserved_id, right, wrong in WRONG_LABELS:

        def suits(image: Json, annotation: Json, category_id: int = dataset.id_of[right]) -> bool:
            large = annotation["area"] >= _SMALLEST_WRONG * image["width"] * image["height"]
            whole = len(annotation["segmentation"]) == 1
            return large and whole and bool(annotation["category_id"] == category_id)

        annotation = dataset.take_annotation(f"a wrong label on {right}", suits)
        annotation["id"] = reserved_id
        annotation["category_id"] = dataset.id_of[wrong]
        defects.append(
            {
                "kind": "wrong_label",
                "annotation_id": reserved_id,
                "image_id": annotation["image_id"],
                "category": wrong,
                "right_category": right,
            }
        )
    return defects


def _misspelt_category(dataset: _TrainingSet) -> Json:
    right_id = dataset.id_of[MISSPELT_FOR]
    changed = [
        dataset.take_annotation(
            "a misspelt category", lambda _, annotation: bool(annotation["category_id"] == right_id)
        )
        for _ in range(3)
    ]
    for annotation in changed:
        annotation["category_id"] = MISSPELT_ID
    dataset.categories.append(
        {"id": MISSPELT_ID, "name": MISSPELT_NAME, "supercategory": MISSPELT_NAME}
    )
    return {
        "kind": "misspelt_category",
        "category_id": MISSPELT_ID,
        "category": MISSPELT_NAME,
        "right_category": MISSPELT_FOR,
        "annotation_ids": sorted(annotation["id"] for annotation in changed),
    }


def _boxes_outside(dataset: _TrainingSet) -> list[Json]:
    defects = []
    for first, extent, reach in ((0, "width", 14.0), (1, "height", 30.0)):

        def touches(
            image: Json, annotation: Json, first: int = first, extent: str = extent
        ) -> bool:
            start, length = annotation["bbox"][first], annotation["bbox"][first + 2]
            return bool(start + length >= image[extent])

        annotation = dataset.take_annotation("a box that reaches outside", touches)
        annotation["bbox"][first + 2] += reach
        defects.append(_box_defect("box_outside", annotation, "partly"))
    image = dataset.take_image("a box that lies outside")
    box = [float(image["width"]) + 12, 40.0, 36.0, 28.0]
    annotation = dataset.add(
        image, category_id=dataset.id_of["Plastic"], bbox=box, area=36.0 * 28.0, segmentation=[]
    )
    defects.append(_box_defect("box_outside", annotation, "wholly"))
    return defects


def _degenerate_boxes(dataset: _TrainingSet) -> list[Json]:
    defects = []
    sides = (("width", 0.0, 24.0), ("height", 31.0, 0.0), ("width and height", 0.0, 0.0))
    for detail, width, height in sides:
        image = dataset.take_image("a box of no area")
        middle = float(image["width"] // 2)
        annotation = dataset.add(
            image,
            category_id=dataset.id_of["General trash"],
            bbox=[middle, middle, width, height],
            area=0.0,
            segmentation=[],
        )
        defects.append(_box_defect("degenerate_box", annotation, f"no {detail}"))
    return defects


def _box_defect(kind: str, annotation: Json, detail: str) -> Json:
    return {
        "kind": kind,
        "annotation_id": annotation["id"],
        "image_id": annotation["image_id"],
        "bbox": list(annotation["bbox"]),
        "detail": detail,
    }


def _truncated_image(dataset: _TrainingSet) -> Json:
    image = dataset.take_image("an image that is cut off")
    return {
        "kind": "truncated_image",
        "image_id": image["id"],
        "file_name": image["file_name"],
    }


def _duplicate_image(dataset: _TrainingSet) -> Json:
    """A copy under a name, an id and a group of its own, with the annotations copied."""
    original = dataset.take_image("a duplicated image")
    image_id = max(image["id"] for image in dataset.images) + 1
    part = original["file_name"].split("/")[0]
    copy = {
        **original,
        "id": image_id,
        "file_name": f"{part}/{image_id:04d}.jpg",
        "group": f"{original['group']}-copy",
    }
    dataset.images.append(copy)
    for annotation in dataset.of_image[original["id"]]:
        dataset.annotations.append({**annotation, "id": dataset.next_id(), "image_id": image_id})
    return {
        "kind": "duplicate_image",
        "image_id": image_id,
        "file_name": copy["file_name"],
        "original_image_id": original["id"],
        "original_file_name": original["file_name"],
    }
