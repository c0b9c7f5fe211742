"""Defects that are planted in the training part, each on a list that tests can read.

Everything here works on the plain COCO dictionary before it is written, and on the files of the
training pictures after they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
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

_KEPT_OF_TRUNCATED = 0.55
_SMALLEST_WRONG = 0.02  # of the picture: large enough for a person to see the mistake


@dataclass(frozen=True)
class PlantedFiles:
    """What is still to be done to the picture files.

    Attributes:
        truncated: The picture to cut off, below the image folder.
        original: The picture to copy.
        duplicate: The copy's name.
    """

    truncated: str
    original: str
    duplicate: str


def plant_in_annotations(train: Json, rng: np.random.Generator) -> tuple[list[Json], PlantedFiles]:
    """Plant every kind of defect in the training annotations, in place.

    No picture and no annotation has two defects.

    Args:
        train: A COCO dictionary without faults.
        rng: Chooses where the defects go.

    Returns:
        One entry a defect, and what is to be done to the files.

    Raises:
        ValueError: The set is too small to hold every defect.
    """
    field = _Field(train, rng)
    defects = _wrong_labels(field) + _misspelt_category(field) + _boxes_outside(field)
    defects += _degenerate_boxes(field)
    truncated, entry = _truncated_image(field)
    defects.append(entry)
    original, duplicate, entry = _duplicate_image(field)
    defects.append(entry)
    return defects, PlantedFiles(truncated, original, duplicate)


def plant_in_files(folder: Path, files: PlantedFiles) -> None:
    """Cut one picture off and copy another.

    Args:
        folder: The image folder that the file names are below.
        files: Which ones.
    """
    cut = folder / files.truncated
    whole = cut.read_bytes()
    cut.write_bytes(whole[: int(len(whole) * _KEPT_OF_TRUNCATED)])
    shutil.copyfile(folder / files.original, folder / files.duplicate)


class _Field:
    """The training set, and which of its pictures have no defect yet."""

    def __init__(self, train: Json, rng: np.random.Generator) -> None:
        self.images: list[Json] = train["images"]
        self.annotations: list[Json] = train["annotations"]
        self.categories: list[Json] = train["categories"]
        self.id_of = {category["name"]: category["id"] for category in self.categories}
        shots: dict[str, int] = {}
        for image in self.images:
            shots[image["group"]] = shots.get(image["group"], 0) + 1
        alone = [image for image in self.images if shots[image["group"]] == 1]
        self.free: list[Json] = [alone[place] for place in rng.permutation(len(alone))]
        self.of_image: dict[int, list[Json]] = {image["id"]: [] for image in self.images}
        for annotation in self.annotations:
            self.of_image[annotation["image_id"]].append(annotation)

    def take_image(self, what: str) -> Json:
        if not self.free:
            raise ValueError(f"train_images: too few pictures to plant {what}; ask for more")
        return self.free.pop()

    def take_annotation(self, what: str, suits: Callable[[Json, Json], bool]) -> Json:
        """The first annotation that suits on a free picture; `suits` sees both."""
        for place, image in enumerate(self.free):
            for annotation in self.of_image[image["id"]]:
                if suits(image, annotation):
                    self.free.pop(place)
                    return annotation
        raise ValueError(f"train_images: too few pictures to plant {what}; ask for more")

    def next_id(self) -> int:
        ids = (int(annotation["id"]) for annotation in self.annotations)
        return max(number for number in ids if number < WRONG_LABELS[0][0]) + 1

    def add(self, image: Json, **keys: Any) -> Json:
        annotation = {"id": self.next_id(), "image_id": image["id"], **keys, "iscrowd": 0}
        self.annotations.append(annotation)
        return annotation


def _wrong_labels(field: _Field) -> list[Json]:
    defects = []
    for reserved_id, right, wrong in WRONG_LABELS:

        def suits(image: Json, annotation: Json, category_id: int = field.id_of[right]) -> bool:
            large = annotation["area"] >= _SMALLEST_WRONG * image["width"] * image["height"]
            whole = len(annotation["segmentation"]) == 1
            return large and whole and bool(annotation["category_id"] == category_id)

        annotation = field.take_annotation(f"a wrong label on {right}", suits)
        annotation["id"] = reserved_id
        annotation["category_id"] = field.id_of[wrong]
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


def _misspelt_category(field: _Field) -> list[Json]:
    right_id = field.id_of[MISSPELT_FOR]
    changed = [
        field.take_annotation(
            "a misspelt category", lambda _, annotation: bool(annotation["category_id"] == right_id)
        )
        for _ in range(3)
    ]
    for annotation in changed:
        annotation["category_id"] = MISSPELT_ID
    field.categories.append(
        {"id": MISSPELT_ID, "name": MISSPELT_NAME, "supercategory": MISSPELT_NAME}
    )
    return [
        {
            "kind": "misspelt_category",
            "category_id": MISSPELT_ID,
            "category": MISSPELT_NAME,
            "right_category": MISSPELT_FOR,
            "annotation_ids": sorted(annotation["id"] for annotation in changed),
        }
    ]


def _boxes_outside(field: _Field) -> list[Json]:
    defects = []
    for first, extent, reach in ((0, "width", 14.0), (1, "height", 30.0)):

        def touches(
            image: Json, annotation: Json, first: int = first, extent: str = extent
        ) -> bool:
            start, length = annotation["bbox"][first], annotation["bbox"][first + 2]
            return bool(start + length >= image[extent])

        annotation = field.take_annotation("a box that reaches outside", touches)
        annotation["bbox"][first + 2] += reach
        defects.append(_box_defect("box_outside", annotation, "partly"))
    image = field.take_image("a box that lies outside")
    box = [float(image["width"]) + 12, 40.0, 36.0, 28.0]
    annotation = field.add(
        image, category_id=field.id_of["Plastic"], bbox=box, area=36.0 * 28.0, segmentation=[]
    )
    defects.append(_box_defect("box_outside", annotation, "wholly"))
    return defects


def _degenerate_boxes(field: _Field) -> list[Json]:
    defects = []
    sides = (("width", 0.0, 24.0), ("height", 31.0, 0.0), ("width and height", 0.0, 0.0))
    for detail, width, height in sides:
        image = field.take_image("a box of no area")
        middle = float(image["width"] // 2)
        annotation = field.add(
            image,
            category_id=field.id_of["General trash"],
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


def _truncated_image(field: _Field) -> tuple[str, Json]:
    image = field.take_image("a picture that is cut off")
    name = str(image["file_name"])
    return name, {"kind": "truncated_image", "image_id": image["id"], "file_name": name}


def _duplicate_image(field: _Field) -> tuple[str, str, Json]:
    """A copy under a name, an id and a group of its own, with the annotations copied."""
    original = field.take_image("a duplicated picture")
    number = max(image["id"] for image in field.images) + 1
    part = str(original["file_name"]).split("/")[0]
    copy = {
        **original,
        "id": number,
        "file_name": f"{part}/{number:04d}.jpg",
        "group": f"{original['group']}-copy",
    }
    field.images.append(copy)
    for annotation in field.of_image[original["id"]]:
        field.annotations.append({**annotation, "id": field.next_id(), "image_id": number})
    entry = {
        "kind": "duplicate_image",
        "image_id": number,
        "file_name": copy["file_name"],
        "original_image_id": original["id"],
        "original_file_name": original["file_name"],
    }
    return str(original["file_name"]), str(copy["file_name"]), entry
