"""Large images in tiles that overlap, each predicted as an image of its own.

What objects in large images are to a network that shrinks them: nothing. Cut into tiles they keep
their size (SAHI, https://arxiv.org/abs/2202.06934). Boxes are put together by `stitching`;
probabilities of pixels are averaged, those near the middle of a tile counting most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from recycling.backends import Images, LoadedModel
from recycling.backends.shared.model import Task
from recycling.ensembling import BoxFusion
from recycling.inference.core import InferenceError, Predictor
from recycling.inference.stitching import stitch
from recycling.predictions import (
    Detections,
    LabelMap,
    Predictions,
    ProbabilityMaps,
    ProbabilityPlanes,
    ProbableLabelMaps,
)


class Tiles(BaseModel, frozen=True, extra="forbid"):
    """How large images are cut.

    Attributes:
        size: Side of a tile, pixels. An image that is no larger is predicted as it is.
        overlap: What two neighbours share at least, as a share of the side: objects up to that
            size are whole on one of them.
        fusion: How boxes of several tiles on one object become one.
    """

    size: int = Field(640, ge=32)
    overlap: float = Field(0.2, ge=0, le=0.9)
    fusion: BoxFusion = Field(
        default_factory=lambda: BoxFusion.model_validate({"method": "nms", "iou_threshold": 0.5})
    )


@dataclass(frozen=True)
class Tile:
    """A part of an image, or the whole of it.

    Attributes:
        image_id: The image.
        left: Where the tile begins, pixels.
        top: Where the tile begins, pixels.
        width: Pixels.
        height: Pixels.
    """

    image_id: int
    left: int
    top: int
    width: int
    height: int


def tiled(predictor: Predictor, tiles: Tiles) -> Predictor:
    """The same predictor, each of whose members sees large images in tiles.

    Args:
        predictor: Of boxes; or of label maps, whose members give probabilities.
        tiles: How images are cut.

    Raises:
        InferenceError: It is a classifier, which looks at crops.
    """
    if predictor.task == "cls":
        raise InferenceError(
            f"{predictor.name} is a classifier, which looks at whole images or at crops; leave the "
            "tiles out"
        )
    members = {name: Tiled(own, predictor.task, tiles) for name, own in predictor.members.items()}
    identity = f"{predictor.identity} {tiles.model_dump_json()}"
    return replace(predictor, members=members, identity=identity)


@dataclass(frozen=True)
class Tiled:
    """A model that sees large images in tiles.

    Attributes:
        model: The model.
        task: What it predicts: boxes or label maps.
        tiles: How images are cut.
    """

    model: LoadedModel
    task: Task
    tiles: Tiles

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """As of the model."""
        return self.model.categories

    def predict(self, images: Images) -> Predictions:
        """Predict on images in memory.

        Args:
            images: With `pixels`.
        """
        # Boxes of objects that are larger than what tiles share are found on the whole image.
        cut = [
            tile
            for row in images.table.itertuples(index=False)
            for tile in cut_image(row, self.tiles, whole=self.task == "det")
        ]
        found = self.model.predict(_images_of(cut, images))
        if self.task == "det":
            assert isinstance(found, pd.DataFrame)
            sizes = images.table.set_index("image_id")[["width", "height"]]
            return stitch(Detections(found), frame_of(cut, sizes), self.tiles.fusion)
        assert isinstance(found, ProbableLabelMaps)
        return _averaged(found, cut, images.table)


def cut_image(image: Any, tiles: Tiles, *, whole: bool = False) -> list[Tile]:
    """The tiles of an image, row by row; they cover it, at even distances.

    Args:
        image: A row of an images table.
        tiles: How it is cut.
        whole: Whether the whole image comes before its tiles, where it is cut.

    Example:
        >>> from types import SimpleNamespace
        >>> image = SimpleNamespace(image_id=1, width=150, height=90)
        >>> [(t.left, t.top, t.width) for t in cut_image(image, Tiles(size=100, overlap=0.2))]
        [(0, 0, 100), (50, 0, 100)]
    """
    number, width, height = int(image.image_id), int(image.width), int(image.height)
    across = min(tiles.size, width), min(tiles.size, height)
    cut = [
        Tile(number, left, top, *across)
        for top in _starts(height, tiles)
        for left in _starts(width, tiles)
    ]
    all_of_it = [Tile(number, 0, 0, width, height)] if whole and len(cut) > 1 else []
    return [*all_of_it, *cut]


def _starts(length: int, tiles: Tiles) -> list[int]:
    """Where tiles begin along a side."""
    beyond = length - tiles.size
    if beyond <= 0:
        return [0]
    n = math.ceil(beyond / (tiles.size * (1 - tiles.overlap))) + 1
    return [round(start) for start in np.linspace(0, beyond, n).tolist()]


def _images_of(cut: Sequence[Tile], images: Images) -> Images:
    """Tiles as images, numbered from 0, each cut out when it is asked for."""
    assert images.pixels is not None
    pixels, names = images.pixels, images.table.set_index("image_id")["file_name"]
    table = pd.DataFrame(
        {
            "image_id": range(len(cut)),
            "file_name": [f"{names[t.image_id]} from {t.left}, {t.top}" for t in cut],
            "width": [tile.width for tile in cut],
            "height": [tile.height for tile in cut],
        }
    )
    return replace(images, table=table, pixels=_CutOut(cut, pixels))


class _CutOut(Mapping[int, NDArray[np.uint8]]):
    """The pixels of tiles."""

    def __init__(self, cut: Sequence[Tile], pixels: Mapping[int, NDArray[np.uint8]]) -> None:
        self.cut, self.pixels = cut, pixels

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        tile = self.cut[number]
        rows = slice(tile.top, tile.top + tile.height)
        columns = slice(tile.left, tile.left + tile.width)
        return np.ascontiguousarray(self.pixels[tile.image_id][rows, columns])

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.cut)))

    def __len__(self) -> int:
        return len(self.cut)


def frame_of(cut: Sequence[Tile], sizes: pd.DataFrame) -> pd.DataFrame:
    """Where each tile lies in its image, as `stitch` takes it.

    Args:
        cut: The tiles; a tile's place is its number.
        sizes: `width` and `height` of each image, by its id.
    """
    table = pd.DataFrame(
        [(t.image_id, t.left, t.top, t.left + t.width, t.top + t.height) for t in cut],
        columns=["image_id", "left", "top", "right", "bottom"],
    )
    return table.join(sizes, on="image_id")


# Probabilities of pixels -------------------------------------------------------------------------


def _averaged(
    found: ProbableLabelMaps, cut: Sequence[Tile], images: pd.DataFrame
) -> ProbableLabelMaps:
    """The label maps of whole images, and the probabilities that they come from."""
    planes = found.probabilities
    of_image: dict[int, list[int]] = {}
    for number, tile in enumerate(cut):
        of_image.setdefault(tile.image_id, []).append(number)
    sizes = {
        int(row.image_id): (int(row.height), int(row.width))  # type: ignore[arg-type]
        for row in images.itertuples(index=False)
    }

    def label_map(image_id: int) -> LabelMap:
        if len(of_image[image_id]) == 1:
            return found[of_image[image_id][0]]
        drawn = np.empty(sizes[image_id], np.uint8)
        for rows, total in _bands(planes, cut, of_image[image_id], sizes[image_id]):
            drawn[rows] = total.argmax(axis=0)
        return drawn

    def probabilities(image_id: int) -> ProbabilityPlanes:
        if len(of_image[image_id]) == 1:
            return planes[of_image[image_id][0]]
        bands = _bands(planes, cut, of_image[image_id], sizes[image_id])
        means = [np.rint(total / total.sum(axis=0) * 255).astype(np.uint8) for _, total in bands]
        return np.concatenate(means, axis=1)

    return ProbableLabelMaps(list(sizes), label_map, ProbabilityMaps(list(sizes), probabilities))


def _bands(
    planes: ProbabilityMaps, cut: Sequence[Tile], numbers: Sequence[int], size: tuple[int, int]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Weighted sums of the tiles' planes, some rows of the image at a time.

    A plane a class of a whole large image is too much for the memory.

    Yields:
        The rows, and (classes, rows, W).
    """
    height, width = size
    tops = {cut[number].top for number in numbers}
    bottoms = {cut[number].top + cut[number].height for number in numbers}
    edges = sorted(tops | bottoms | {0, height})
    for begin, end in pairwise(edges):
        total: Any = None
        for number in numbers:
            tile = cut[number]
            if not (tile.top < end and begin < tile.top + tile.height):
                continue
            rows = slice(begin - tile.top, end - tile.top)
            own = _of_size(planes[number], tile)[:, rows].astype(np.float32)
            own *= _weight(tile.height)[rows, None] * _weight(tile.width)
            if total is None:
                total = np.zeros((len(own), end - begin, width), np.float32)
            total[:, :, tile.left : tile.left + tile.width] += own
        yield slice(begin, end), total


def _of_size(planes: ProbabilityPlanes, tile: Tile) -> ProbabilityPlanes:
    """Planes in the size of their tile: those of large tiles are smaller."""
    if planes.shape[1:] == (tile.height, tile.width):
        return planes
    import cv2

    size = (tile.width, tile.height)
    return np.stack([np.asarray(cv2.resize(plane, size), np.uint8) for plane in planes])


def _weight(length: int) -> NDArray[np.float32]:
    """How much the pixels along a side of a tile count: a triangle, above 0 everywhere."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    weight: NDArray[np.float32] = (distance / distance.max()).astype(np.float32)
    return weight
