"""Whether boxes can be boxes on the images that they are said to be on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.errors import listed
from recycling.names import shown_name
from recycling.predictions.core import Detections, SubmissionError

logger = logging.getLogger(__name__)

UnusualBoxes: TypeAlias = Literal["error", "warn"]
"""What to do where boxes do not look like boxes in pixels of their images: stop, or warn."""

_PIXEL = 1.01  # shares reach 1, and a little more where they were rounded
_FEW = 0.01  # of the boxes; detectors that do not clip put hardly any centre outside the image
_SOME = 0.1  # of the images
_ENOUGH_IMAGES, _ENOUGH_BOXES = 10, 30
_NEAR_BOTH, _NEAR_ONE = 0.8, 0.7  # how far the furthest of many boxes reaches, as a share


def check_boxes(
    detections: Detections,
    images: pd.DataFrame,
    where: str | Path,
    *,
    unusual: UnusualBoxes = "error",
) -> None:
    """Compare boxes with the sizes of their images.

    In pixels of the image, boxes are larger than a pixel, their centres are inside, and some of
    many reach far to the right and down. Where they are not, their numbers are shares of the image,
    or pixels of an image of another size.

    Args:
        detections: The boxes.
        images: The images, with `image_id`, `file_name`, `width` and `height`; without sizes
            nothing is compared.
        where: The file, for messages.
        unusual: Whether such boxes stop the run.

    Raises:
        SubmissionError: They do not look like boxes in pixels of their images; one line, with the
            likely cause.

    Example:
        >>> images = pd.DataFrame({"image_id": [7], "file_name": "a.jpg", "width": 640,
        ...                        "height": 480})
        >>> boxes = pd.DataFrame({"image_id": [7], "x_min": 0.1, "y_min": 0.2, "x_max": 0.5,
        ...                       "y_max": 0.9})
        >>> check_boxes(boxes, images, "team.csv")
        Traceback (most recent call last):
        ...
        recycling.predictions.core.SubmissionError: team.csv: on 1 of 1 images all boxes lie \
within one pixel (0.1 0.2 0.5 0.9 on a.jpg, 640 x 480): shares of the image? write pixels, or if \
they are meant, set unusual_boxes to warn
    """
    if detections.empty or not {"width", "height"} <= set(images.columns):
        return
    row = pd.Index(images["image_id"]).get_indexer(detections["image_id"])
    sizes = images[["width", "height"]].to_numpy(np.float64)[row]
    low = detections[["x_min", "y_min"]].to_numpy(np.float64)
    high = detections[["x_max", "y_max"]].to_numpy(np.float64)
    drawn = (high > low).all(axis=1)  # some tools write 0 0 0 0 where they found nothing
    found = _Boxes(images, row[drawn], sizes[drawn], low[drawn], high[drawn])
    for fault in (found.shares(), found.outside(), found.far_from_the_edges()):
        if fault is None:
            continue
        cause, is_certain = fault
        if is_certain and unusual == "error":
            raise SubmissionError(
                f"{where}: {cause}, or if they are meant, set unusual_boxes to warn"
            )
        logger.warning("%s: %s", where, cause)


class _Boxes:
    """Boxes beside the sizes of their images.

    Args:
        images: The images.
        row: (boxes,) the row of each one's image.
        sizes: (boxes, 2) width and height of its image.
        low: (boxes, 2) left and top.
        high: (boxes, 2) right and bottom.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        row: NDArray[np.intp],
        sizes: NDArray[np.float64],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
    ) -> None:
        self._images, self._row, self._sizes, self._low, self._high = images, row, sizes, low, high

    def shares(self) -> tuple[str, bool] | None:
        """The fault that all boxes of some images are within a pixel of the corner."""
        tiny = (self._high <= _PIXEL).all(axis=1) & (self._sizes > 2).all(axis=1)
        if not tiny.any():
            return None
        all_tiny = pd.Series(tiny).groupby(self._row).all()
        if not all_tiny.any():
            return None
        first = int((tiny & np.isin(self._row, all_tiny.index[all_tiny])).argmax())
        return (
            f"on {all_tiny.sum()} of {len(all_tiny)} images all boxes lie within one pixel "
            f"({self._box(first)}): shares of the image? write pixels",
            bool(all_tiny.mean() >= _SOME),
        )

    def outside(self) -> tuple[str, bool] | None:
        """The fault that the centres of boxes are outside their images."""
        centre = (self._low + self._high) / 2
        out: NDArray[np.bool_] = np.any((centre < 0) | (centre > self._sizes), axis=1)
        if not out.any():
            return None
        names = pd.unique(self._images["file_name"].to_numpy()[self._row[out]])
        first = f"{self._box(int(out.argmax()))}; images {listed(map(shown_name, names), 3)}"
        swapped = (centre[:, ::-1] >= 0) & (centre[:, ::-1] <= self._sizes)
        cause = (
            "x and y swapped? write x_min y_min x_max y_max"
            if swapped.all()
            else "pixels of an image of another size? write pixels of the image as it is"
        )
        return (
            f"{out.sum()} of {len(out)} boxes have their centre outside the image ({first}): "
            f"{cause}",
            bool(out.mean() >= _FEW),
        )

    def far_from_the_edges(self) -> tuple[str, bool] | None:
        """The fault that of many boxes none comes near the right or lower edge."""
        if len(self._row) < _ENOUGH_BOXES or len(np.unique(self._row)) < _ENOUGH_IMAGES:
            return None
        reach = (self._high / self._sizes).max(axis=0)
        if reach.max() >= _NEAR_BOTH and reach.min() >= _NEAR_ONE:
            return None
        return (
            f"of {len(self._row)} boxes none reaches further than {reach[0]:.0%} of its image's "
            f"width and {reach[1]:.0%} of its height: pixels of an image of another size? write "
            "pixels of the image as it is",
            True,
        )

    def _box(self, number: int) -> str:
        numbers = " ".join(f"{value:.6g}" for value in (*self._low[number], *self._high[number]))
        image = self._images.iloc[self._row[number]]
        name = shown_name(str(image["file_name"]))
        return f"{numbers} on {name}, {image['width']} x {image['height']}"
