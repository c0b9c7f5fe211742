"""Resizing that leaves labels where the image shows them.

The libraries' own takes of a label map or mask the pixel up and left of the centre: what is made
smaller moves by up to half a pixel, and small objects lose a row and a column.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import Resize
from numpy.typing import NDArray


def resized_labels(labels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A label map or mask of another size, taking the pixel under the centre of each.

    Args:
        labels: (H, W).
        shape: Height and width of the result, pixels.

    >>> resized_labels(np.arange(6, dtype=np.uint8).reshape(1, 6), (1, 2)).tolist()
    [[1, 4]]
    """
    return np.asarray(cv2.resize(labels, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT))


def resized_masks(masks: Any, shape: tuple[int, int]) -> Any:
    """The same of mmdet's ``BitmapMasks``."""
    planes = [resized_labels(plane, shape) for plane in masks.masks]
    return type(masks)(np.array(planes, np.uint8).reshape(-1, *shape), *shape)


class ResizeMaps(Resize):  # type: ignore[misc]
    """mmcv's ``Resize`` for label maps."""

    def _resize_seg(self, results: dict[str, Any]) -> None:
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = resized_labels(results["gt_seg_map"], results["img_shape"][:2])
