"""Annotations turned and scaled with their image."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recycling.annotations.masks import mask_to_segmentation, rle_mask, segmentation_rle


@dataclass(frozen=True)
class Placement:
    """How the pixels of an image lie where they are shown: turned first, then scaled.

    Attributes:
        size: Width and height that coordinates are given in, pixels.
        shown: Width and height of the image as it is shown, pixels.
        orientation: EXIF's number of the turn; None where the image is not turned.

    >>> turned = Placement((8, 4), (4, 8), 6)  # by 90 degrees, clockwise
    >>> turned.box(np.array([0.0, 0.0, 2.0, 1.0])).tolist()
    [3.0, 0.0, 4.0, 2.0]
    """

    size: tuple[int, int]
    shown: tuple[int, int]
    orientation: int | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the shown image for one of the turned one, across and down."""
        width, height = self.size if self.orientation not in (5, 6, 7, 8) else self.size[::-1]
        return self.shown[0] / width, self.shown[1] / height

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points, (N, 2), where they are shown."""
        (width, height), (x, y) = self.size, points.T
        # As Pillow's `ImageOps.exif_transpose` moves the pixels of an image.
        turned = {
            2: (width - x, y),
            3: (width - x, height - y),
            4: (x, height - y),
            5: (y, x),
            6: (height - y, x),
            7: (height - y, width - x),
            8: (y, width - x),
        }.get(self.orientation or 1, (x, y))
        return np.column_stack(turned) * self.scale

    def box(self, box: NDArray[np.float64]) -> NDArray[np.float64]:
        """A box, `x_min, y_min, x_max, y_max`, where it is shown."""
        corners = self.points(box.reshape(2, 2))
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)])

    def segmentation(self, text: str | None) -> str | None:
        """JSON of polygons or of an RLE, as the tables hold it, where it is shown.

        Raises:
            AnnotationError: The RLE is damaged or made for another size.
        """
        if text is None:
            return None
        parsed = json.loads(text)
        if isinstance(parsed, list):
            moved = [self.points(np.reshape(flat, (-1, 2))).ravel().tolist() for flat in parsed]
            return json.dumps(moved, separators=(",", ":"))
        return self._rle(text)

    def _rle(self, text: str) -> str:
        from PIL import Image

        from recycling.annotations.images.decoding import turned

        rle = segmentation_rle(text, self.size[1], self.size[0])
        assert rle is not None  # of polygons alone
        mask = turned(Image.fromarray(rle_mask(rle).astype(np.uint8)), self.orientation)
        shown = mask.resize(self.shown, Image.Resampling.NEAREST)
        return mask_to_segmentation(np.asarray(shown, dtype=np.bool_))
