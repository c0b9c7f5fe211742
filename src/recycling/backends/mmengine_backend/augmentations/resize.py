"""Resizing that leaves labels where the image shows them.

The libraries' own takes of a label map or mask the pixel up and left of the centre: what is made
smaller moves by up to half a pixel, and small objects lose a row and a column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import Resize

from recycling.annotations.masks import of_size


def resized_masks(masks: Any, shape: tuple[int, int]) -> Any:
    """Mmdet's ``BitmapMasks`` of another size, in height and width."""
    planes = [of_size(plane, shape) for plane in masks.masks]
    return type(masks)(np.array(planes, np.uint8).reshape(-1, *shape), *shape)


class ResizeMaps(Resize):  # type: ignore[misc]
    """mmcv's ``Resize`` for label maps."""

    def _resize_seg(self, results: dict[str, Any]) -> None:
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = of_size(results["gt_seg_map"], results["img_shape"][:2])
