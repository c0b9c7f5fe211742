"""Label errors that people make, planted on a list that tests can read.

Other than the defects of the sample, no rule of cleaning can see them: boxes are in their images,
and masks go with their boxes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recycling.sample.defects import Json

_LEAST_AREA = 0.02  # of the image: large enough for a person to see the mistake
_SHIFTS = (0.2, 0.4)  # of the box's width and height
_MOST_OVERLAP = 0.6  # intersection over union of a box with where it is moved to
_TRIES = 200


def plant_label_errors(train: Json, rng: np.random.Generator, n_each: int = 12) -> list[Json]:
    """Plant label errors in a COCO dictionary, in place: as many of each of four kinds.

    ``wrong_class``: another category. ``missed``: a label is gone. ``badly_placed``: box and mask
    are moved by a fifth to two fifths of the box's sides. ``spurious``: a box where nothing
    is. No image has two; objects that are changed cover 2 % of their image or more.

    Args:
        train: A COCO dictionary whose labels are right.
        rng: Chooses where the errors go.
        n_each: How many of each kind.

    Returns:
        One entry an error: `kind`, `image_id`, `annotation_id`, `bbox` (COCO's, as it was or, of a
        spurious one, is) and `right_category`, where there is one.

    Raises:
        ValueError: There are too few images with an object that is large enough.
    """
    planting = _Planting(train, rng)
    plants = (planting.wrong_class, planting.missed, planting.badly_placed, planting.spurious)
    return [plant() for plant in plants for _ in range(n_each)]


class _Planting:
    """A set of labels, and which of its images have no error yet."""

    def __init__(self, train: Json, rng: np.random.Generator) -> None:
        self.train, self.rng = train, rng
        images = train["images"]
        self.free = [images[place] for place in rng.permutation(len(images))]
        self.names = {own["id"]: own["name"] for own in train["categories"]}
        # Above all that there were: the id of a label that is gone is not given again.
        self.next_id = max(own["id"] for own in train["annotations"]) + 1

    def wrong_class(self) -> Json:
        image, label = self._take()
        error = self._error("wrong_class", image, label)
        others = [own for own in self.names if own != label["category_id"]]
        label["category_id"] = others[int(self.rng.integers(len(others)))]
        return error

    def missed(self) -> Json:
        image, label = self._take()
        self.train["annotations"].remove(label)
        return self._error("missed", image, label)

    def badly_placed(self) -> Json:
        image, label = self._take()
        x, y, width, height = label["bbox"]
        limits = (image["width"] - width, image["height"] - height)
        moves = [
            self._shift(start, side, limit)
            for start, side, limit in zip((x, y), (width, height), limits, strict=True)
        ]
        share = (1 - abs(moves[0]) / width) * (1 - abs(moves[1]) / height)
        if share / (2 - share) > _MOST_OVERLAP:  # there is no room: the next one
            return self.badly_placed()
        error = self._error("badly_placed", image, label)
        label["bbox"] = [x + moves[0], y + moves[1], width, height]
        label["segmentation"] = [
            [corner + moves[place % 2] for place, corner in enumerate(outline)]
            for outline in label["segmentation"]
        ]
        return error

    def _shift(self, start: float, side: float, limit: float) -> float:
        """By how much to move an edge: away from the nearer border of the image."""
        far = limit - start > start
        room = limit - start if far else start
        move = min(round(side * self.rng.uniform(*_SHIFTS)), room)
        return float(move if far else -move)

    def spurious(self) -> Json:
        image, like = self._take()
        width, height = like["bbox"][2:]
        boxes = np.array([own["bbox"] for own in self._on(image)])
        for _ in range(_TRIES):
            x = float(self.rng.integers(0, image["width"] - int(width) + 1))
            y = float(self.rng.integers(0, image["height"] - int(height) + 1))
            apart = (
                (boxes[:, 0] >= x + width) | (boxes[:, 0] + boxes[:, 2] <= x)
                | (boxes[:, 1] >= y + height) | (boxes[:, 1] + boxes[:, 3] <= y)
            )  # fmt: skip
            if apart.all():
                return self._add(image, [x, y, width, height])
        return self.spurious()  # this image is full: the next one

    def _add(self, image: Json, box: list[float]) -> Json:
        x, y, width, height = box
        corners = [x, y, x + width, y, x + width, y + height, x, y + height]
        category = list(self.names)[int(self.rng.integers(len(self.names)))]
        label = {
            "id": self.next_id,
            "image_id": image["id"],
            "category_id": category,
            "bbox": box,
            "area": width * height,
            "segmentation": [corners],
            "iscrowd": 0,
        }
        self.next_id += 1
        self.train["annotations"].append(label)
        return {**self._error("spurious", image, label), "right_category": None}

    def _take(self) -> tuple[Json, Json]:
        """The next image, and one of its objects that is large enough."""
        while self.free:
            image = self.free.pop()
            least = _LEAST_AREA * image["width"] * image["height"]
            large = [own for own in self._on(image) if own["area"] >= least]
            if large:
                return image, large[int(self.rng.integers(len(large)))]
        raise ValueError("train_images: too few images to plant label errors; ask for more")

    def _on(self, image: Json) -> list[Json]:
        return [own for own in self.train["annotations"] if own["image_id"] == image["id"]]

    def _error(self, kind: str, image: Json, label: Json) -> dict[str, Any]:
        return {
            "kind": kind,
            "image_id": image["id"],
            "annotation_id": label["id"],
            "bbox": list(label["bbox"]),
            "right_category": self.names[label["category_id"]],
        }
