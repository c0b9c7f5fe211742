"""A model or an ensemble in memory that predicts on images, whoever computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, IMAGES, ImageFolder
from recycling.backends import Images, LoadedModel
from recycling.backends.shared.model import Task
from recycling.predictions import Predictions

Fuse: TypeAlias = Callable[[Mapping[str, Predictions], Images], Predictions]
"""Makes one prediction of those of several members, by name, of the same images."""


class InferenceError(ValueError):
    """Nothing can be predicted: one line, what with or on what, what is wrong, what to do."""


@dataclass(frozen=True)
class Predictor:
    """What predicts: one trained model, or several and how they are fused.

    Attributes:
        name: What it is called, such as ``det.final``.
        task: What it predicts.
        categories: Those that it knows, in the order of class indices; schema `CATEGORIES`.
        members: The models in memory. Whatever has their `predict` will do.
        fuse: How their predictions become one; None where there is one member alone.
        identity: Tells it from every other that may predict something else.
    """

    name: str
    task: Task
    categories: pd.DataFrame
    members: Mapping[str, LoadedModel]
    fuse: Fuse | None = None
    identity: str = ""

    def predict(self, images: Images) -> Predictions:
        """Predict on images: boxes, the classes of crops, or label maps.

        Args:
            images: See `in_memory`. A classifier looks at their crops: see `whole_images`.

        Raises:
            BackendError: An image cannot be read, or memory runs out.
        """
        said = {name: member.predict(images) for name, member in self.members.items()}
        if self.fuse is None:
            (alone,) = said.values()
            return alone
        return self.fuse(said, images)


def in_memory(pixels: Sequence[NDArray[np.uint8]], names: Sequence[str] | None = None) -> Images:
    """Images in memory, as a predictor takes them.

    Args:
        pixels: Each (H, W, 3) RGB; they are numbered from 1 in this order.
        names: What to call them in messages.

    Example:
        >>> images = in_memory([np.zeros((4, 6, 3), np.uint8)], ["a.jpg"])
        >>> images.table[["image_id", "file_name", "width", "height"]].values.tolist()
        [[1, 'a.jpg', 6, 4]]
    """
    called = names or [f"image {number}" for number in range(1, len(pixels) + 1)]
    by_id: dict[int, NDArray[np.uint8]] = dict(enumerate(pixels, 1))
    table = pd.DataFrame(
        {
            "image_id": list(by_id),
            "file_name": list(called),
            "width": [image.shape[1] for image in pixels],
            "height": [image.shape[0] for image in pixels],
            "group": [str(number) for number in by_id],
            "extra": None,
        }
    )
    return Images(IMAGES.conform(table, where="images"), ImageFolder(Path()), pixels=by_id)


def whole_images(images: Images) -> Images:
    """The same images, each with one crop for classifiers: the whole of it."""
    table = images.table
    crops = pd.DataFrame(
        {
            "annotation_id": range(1, len(table) + 1),
            "image_id": table["image_id"].to_numpy(),
            "x_min": 0.0,
            "y_min": 0.0,
            "x_max": table["width"].to_numpy(dtype=np.float64),
            "y_max": table["height"].to_numpy(dtype=np.float64),
        }
    )
    return replace(images, crops=crops)


def crops_of(images: Images, detections: pd.DataFrame, score_threshold: float) -> Images:
    """The same images, with the boxes that a detector is sure enough of as crops for classifiers.

    Args:
        images: The images.
        detections: What was found on them; schema `DETECTIONS`.
        score_threshold: The score that a box needs.
    """
    sure = detections.loc[detections["score"] >= score_threshold, ["image_id", *BOX]]
    sure = sure.reset_index(drop=True)
    sure.insert(0, "annotation_id", range(1, len(sure) + 1))
    return replace(images, crops=sure)
