"""Drawn worlds: images with a truth, and members that predict them well or badly, for each task.

Members see the same hard objects as hard, so their errors are alike, as those of real models are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import ANNOTATIONS, BOX, CATEGORIES, IMAGES, Annotations
from recycling.predictions import (
    CLASS_PROBABILITIES,
    DETECTIONS,
    LabelMaps,
    ProbabilityMaps,
)

Kind: TypeAlias = Literal["good", "poor", "miscalibrated", "blind"]
BAD: tuple[Kind, ...] = ("poor", "miscalibrated", "blind")

N_CLASSES = 5
NAMES = {number: f"class {number}" for number in range(1, N_CLASSES + 1)}
SIDE = 400  # pixels, of an image with boxes
PIXELS = 12  # of a side of an image with masks


@dataclass(frozen=True)
class World:
    """Images, what is on them, and what members say.

    Attributes:
        kinds: What each member is, by its name.
        truth: Annotations, or for masks (images, H, W) labels.
        members: The predictions of each member for all images, by name.
        probabilities: The probabilities beside label maps, by name.
        n_images: How many images there are; their ids go from 0.
    """

    kinds: dict[str, Kind]
    truth: Any
    members: dict[str, Any]
    probabilities: dict[str, ProbabilityMaps]
    n_images: int


def draw_kinds(rng: np.random.Generator) -> list[Kind]:
    """One to five members, of which none to three are bad."""
    n_members = int(rng.integers(1, 6))
    n_bad = int(rng.integers(0, min(3, n_members) + 1))
    bad = [BAD[int(number)] for number in rng.integers(0, len(BAD), n_bad)]
    good: list[Kind] = ["good"] * (n_members - n_bad)
    return good + bad


def draw_world(task: str, seed: int, n_images: int, kinds: Sequence[Kind] | None = None) -> World:
    """Draw a world; the same seed gives the same.

    Args:
        task: cls, det or seg.
        seed: Of what is drawn.
        n_images: How many images.
        kinds: What the members are; None to draw that as well.
    """
    rng = np.random.default_rng([seed, ("cls", "det", "seg").index(task)])
    drawn = list(kinds or draw_kinds(rng))
    return DRAW[task](rng, {f"m{n}": kind for n, kind in enumerate(drawn)}, n_images)


def draw_boxes(rng: np.random.Generator, kinds: dict[str, Kind], n_images: int) -> World:
    """Objects that are found the more surely the easier they are, and what looks like some."""
    shares = rng.dirichlet(np.full(N_CLASSES, 2.0)) * 0.8 + 0.2 / N_CLASSES
    things = []
    for mean in (4.0, 3.0):  # objects, and what is taken for some
        image = np.repeat(np.arange(n_images), rng.poisson(mean, n_images))
        size = rng.uniform(30, 120, (len(image), 2))
        corner = rng.uniform(0, SIDE - 120, (len(image), 2))
        category = rng.choice(N_CLASSES, len(image), p=shares) + 1
        table = pd.DataFrame(np.hstack([corner, corner + size]), columns=BOX)
        things.append(table.assign(image_id=image, category_id=category))
    objects, distractors = things
    hard = rng.normal(0, 1, len(objects)), rng.normal(0, 1, len(distractors))

    def member(kind: Kind) -> pd.DataFrame:
        skill = rng.uniform(-1.2, -0.4) if kind == "poor" else rng.uniform(0.2, 1.2)
        n_own = rng.poisson(1.5 if kind != "poor" else 4.0, n_images)
        found = []
        for table, hardness, level in ((objects, hard[0], skill), (distractors, hard[1], -1.2)):
            sure = level - hardness + rng.normal(0, 0.7, len(table))
            size = table[["x_max", "y_max"]].to_numpy() - table[["x_min", "y_min"]].to_numpy()
            moved = table[BOX] + rng.normal(0, 0.07, (len(table), 4)) * np.tile(size, 2)
            wrong = rng.random(len(table)) < 0.08
            category = np.where(
                wrong, rng.integers(1, N_CLASSES + 1, len(table)), table["category_id"]
            )
            found.append(table.assign(**moved, category_id=category, sure=sure))
        image = np.repeat(np.arange(n_images), n_own)
        corner = rng.uniform(0, SIDE - 80, (len(image), 2))
        own = pd.DataFrame(np.hstack([corner, corner + 70]), columns=BOX).assign(
            image_id=image,
            category_id=rng.integers(1, N_CLASSES + 1, len(image)),
            sure=rng.normal(0.0 if kind == "poor" else -1.0, 0.8, len(image)),
        )
        table = pd.concat([*found, own], ignore_index=True)
        table = table[table["sure"] > -1.2]
        score = 1 / (1 + np.exp(-1.5 * table["sure"].to_numpy()))
        if kind == "miscalibrated":
            score = score ** (rng.uniform(0.05, 0.25) if rng.random() < 0.5 else rng.uniform(4, 9))
        table = table.assign(score=np.clip(score, 1e-9, 1))
        if kind == "blind":
            unseen = rng.choice(N_CLASSES, int(rng.integers(1, 4)), replace=False) + 1
            table = table[~table["category_id"].isin(unseen)]
        low, high = table[["x_min", "y_min"]].to_numpy(), table[["x_max", "y_max"]].to_numpy()
        table[BOX] = np.hstack([np.minimum(low, high), np.maximum(low, high)])
        return DETECTIONS.conform(table[list(DETECTIONS.names)], where="member")

    members = {name: member(kind) for name, kind in kinds.items()}
    return World(kinds, annotations_of(objects, n_images, SIDE, NAMES), members, {}, n_images)


def draw_crops(rng: np.random.Generator, kinds: dict[str, Kind], n_images: int) -> World:
    """A crop an image; members are the surer of its class the easier it is."""
    shares = rng.dirichlet(np.full(N_CLASSES, 2.0)) * 0.8 + 0.2 / N_CLASSES
    truth = rng.choice(N_CLASSES, n_images, p=shares)
    shared = rng.normal(0, 1, (n_images, N_CLASSES))
    names = list(NAMES.values())

    def member(kind: Kind) -> pd.DataFrame:
        skill = rng.uniform(-0.2, 0.6) if kind == "poor" else rng.uniform(1.5, 2.5)
        logits = skill * np.eye(N_CLASSES)[truth] + 0.8 * shared
        logits = logits + rng.normal(0, 0.9, logits.shape)
        if kind == "poor":
            logits *= 2.0
        if kind == "miscalibrated":
            logits = logits + rng.normal(0, 1.0, N_CLASSES)
            logits = logits * (rng.uniform(4, 10) if rng.random() < 0.5 else rng.uniform(0.1, 0.3))
        if kind == "blind":
            unseen = rng.choice(N_CLASSES, int(rng.integers(1, 4)), replace=False)
            logits[:, unseen] = -12.0
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        table = pd.DataFrame(odds / odds.sum(axis=1, keepdims=True), columns=names)
        table.insert(0, "annotation_id", np.arange(n_images))
        return CLASS_PROBABILITIES.conform(
            table.astype(dict.fromkeys(names, "float32")), where="member"
        )

    objects = pd.DataFrame(
        {"x_min": 0.0, "y_min": 0.0, "x_max": 9.0, "y_max": 9.0, "image_id": np.arange(n_images)}
    ).assign(category_id=truth + 1)
    members = {name: member(kind) for name, kind in kinds.items()}
    return World(kinds, annotations_of(objects, n_images, 9, NAMES), members, {}, n_images)


def draw_masks(rng: np.random.Generator, kinds: dict[str, Kind], n_images: int) -> World:
    """Patches of labels, the background and three more; members are less sure near edges."""
    n_labels = 4
    shape = (n_images, n_labels, PIXELS, PIXELS)

    def patches(scale: float) -> NDArray[np.float32]:
        coarse = rng.normal(0, scale, (n_images, n_labels, 4, 4)).astype(np.float32)
        return coarse.repeat(PIXELS // 4, axis=2).repeat(PIXELS // 4, axis=3)

    field = patches(1.0)
    field[:, 0] += 0.7
    truth = field.argmax(axis=1).astype(np.uint8)
    one_hot = np.eye(n_labels, dtype=np.float32)[truth].transpose(0, 3, 1, 2)
    shared = patches(0.8)

    def member(kind: Kind) -> NDArray[np.uint8]:
        skill = rng.uniform(0.2, 0.8) if kind == "poor" else rng.uniform(1.6, 2.6)
        logits = skill * one_hot + shared + patches(0.8) + rng.normal(0, 0.8, shape)
        if kind == "miscalibrated":
            logits = logits + rng.normal(0, 0.8, (1, n_labels, 1, 1))
            logits = logits * (rng.uniform(4, 10) if rng.random() < 0.5 else rng.uniform(0.1, 0.3))
        if kind == "blind":
            unseen = rng.choice(n_labels, int(rng.integers(1, 3)), replace=False)
            logits[:, unseen] = -12.0
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        planes = np.rint(255 * odds / odds.sum(axis=1, keepdims=True))
        return np.asarray(planes, dtype=np.uint8)

    planes = {name: member(kind) for name, kind in kinds.items()}
    probabilities = {
        name: ProbabilityMaps(range(n_images), own.__getitem__) for name, own in planes.items()
    }
    maps = {name: own.argmax(axis=1).astype(np.uint8) for name, own in planes.items()}
    members = {name: LabelMaps(range(n_images), own.__getitem__) for name, own in maps.items()}
    return World(kinds, truth, members, probabilities, n_images)


def annotations_of(
    objects: pd.DataFrame,
    n_images: int,
    side: int,
    names: Mapping[int, str],
    *,
    suffix: str = ".jpg",
) -> Annotations:
    """Objects as annotations; ids of images and annotations are numbers from 0.

    Args:
        objects: Boxes with ``image_id`` and ``category_id``, and other columns of annotations that
            are not to be as usual.
        n_images: How many images.
        side: Of each image, pixels.
        names: Of the categories, by their ids.
        suffix: How the name of an image's file ends.
    """
    ids = list(range(n_images))
    images = pd.DataFrame(
        {
            "image_id": ids,
            "file_name": [f"{image_id}{suffix}" for image_id in ids],
            "width": side,
            "height": side,
            "group": [str(image_id) for image_id in ids],
            "extra": None,
        }
    )
    usual = {
        "annotation_id": range(len(objects)),
        "area": (objects["x_max"] - objects["x_min"]) * (objects["y_max"] - objects["y_min"]),
        "segmentation": None,
        "iscrowd": False,
        "source": "human",
        "score": 1.0,
        "extra": None,
    }
    rows = objects.assign(**{name: usual[name] for name in usual if name not in objects})
    categories = pd.DataFrame(
        {
            "category_id": list(names),
            "name": list(names.values()),
            "supercategory": "",
            "extra": None,
        }
    )
    return Annotations(
        IMAGES.conform(images, where="images"),
        ANNOTATIONS.conform(rows, where="annotations"),
        CATEGORIES.conform(categories, where="categories"),
    )


DRAW: Mapping[str, Callable[[np.random.Generator, dict[str, Kind], int], World]] = {
    "cls": draw_crops,
    "det": draw_boxes,
    "seg": draw_masks,
}
