"""The three kinds of prediction: detections, class probabilities, label maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, NewType, TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.files import write_image
from recycling.kept_arrays import KeptArrays
from recycling.limits import open_image
from recycling.tables import Column, Schema, register_table


class SubmissionError(ValueError):
    """A submission is not what it should be: one line, the file, the image, the fault."""


Detections = NewType("Detections", pd.DataFrame)
"""One row a detected object; schema `DETECTIONS`."""

ClassProbabilities = NewType("ClassProbabilities", pd.DataFrame)
"""One row a crop: `annotation_id`, then a float32 column for each category's name."""

LabelMap: TypeAlias = NDArray[np.uint8]
"""(H, W): 0 is background, i + 1 the i-th row of the categories, 255 "ignore"."""

IGNORE = 255
"""What pixels are in label maps that count for nothing."""

KEPT_BYTES = 16 << 20
"""What is kept in memory of the arrays of each set."""

Array = TypeVar("Array", bound=NDArray[Any])

DETECTIONS = Schema(
    "detections",
    (
        Column("image_id", "int64", "the image that it is on"),
        Column("category_id", "int64", "what it is"),
        Column("score", "float64", "confidence", minimum=0, maximum=1),
        Column("x_min", "float64", "left edge of the box, pixels"),
        Column("y_min", "float64", "top edge of the box, pixels"),
        Column("x_max", "float64", "right edge of the box, pixels"),
        Column("y_max", "float64", "bottom edge of the box, pixels"),
    ),
    optional=(
        Column(
            "segmentation",
            "string",
            "the object's mask as COCO RLE in JSON, missing where it has none",
            nullable=True,
        ),
    ),
)
register_table("detections", DETECTIONS, Detections)

CLASS_PROBABILITIES = Schema(
    "class probabilities",
    (Column("annotation_id", "int64", "the crop's annotation", unique=True),),
    open_ended=True,
)
register_table("class_probabilities", CLASS_PROBABILITIES, ClassProbabilities)


class ImageMaps(Mapping[int, Array], Generic[Array]):
    """Arrays by image, each read or computed when it is asked for.

    They are not in memory as a whole: the first 16 MB of them are kept, as they are asked for
    again and again; of the others iterating over `items()` holds one at a time. None can be written
    to.

    Args:
        image_ids: The images that have one, in the order of iteration.
        read: Gives that of one image.

    Example:
        >>> maps = ImageMaps([7, 9], lambda image_id: np.full((1, 2), image_id))
        >>> list(maps), maps[9].tolist()
        ([7, 9], [[9, 9]])
    """

    def __init__(self, image_ids: Sequence[int], read: Callable[[int], Array]) -> None:
        self._image_ids = dict.fromkeys(int(image_id) for image_id in image_ids)
        self._read = read
        self._kept = KeptArrays()

    def __getitem__(self, image_id: int) -> Array:
        if image_id not in self._image_ids:
            raise KeyError(image_id)
        return cast(Array, self._kept.get(image_id, KEPT_BYTES, lambda: self._made(image_id)))

    def __contains__(self, image_id: object) -> bool:
        """Whether there is one; it is not read for that."""
        return image_id in self._image_ids

    def _made(self, image_id: int) -> Array:
        array = self._read(image_id).view()  # which can be made so without the array itself
        array.flags.writeable = False
        return array

    def __iter__(self) -> Iterator[int]:
        return iter(self._image_ids)

    def __len__(self) -> int:
        return len(self._image_ids)


class LabelMaps(ImageMaps[LabelMap]):
    """Label maps by image, (H, W) uint8, each read or computed when it is asked for."""

    @classmethod
    def from_folder(cls, folder: Path) -> LabelMaps:
        """The maps stored in `folder`, one ``<image_id>.png`` an image."""
        import cv2

        def read(image_id: int) -> LabelMap:
            path = folder / f"{image_id}.png"
            label_map = None
            with suppress(OSError, ValueError), open_image(path):  # no more than is allowed
                label_map = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if label_map is None or label_map.ndim != 2 or label_map.dtype != np.uint8:
                raise SubmissionError(
                    f"{path}: not a label map; it should be an 8-bit grey PNG: make it anew"
                )
            return np.asarray(label_map, dtype=np.uint8)

        return cls(sorted(int(path.stem) for path in folder.glob("*.png")), read)

    def write(self, folder: Path) -> None:
        """Write every map to `folder`, which must exist, as ``<image_id>.png``."""
        for image_id, label_map in self.items():
            write_image(folder / f"{image_id}.png", label_map)


Predictions: TypeAlias = Detections | ClassProbabilities | LabelMaps
"""Of any of the three kinds."""
