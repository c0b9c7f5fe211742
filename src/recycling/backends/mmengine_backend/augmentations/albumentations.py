"""Classes of Albumentations as one transform of the three libraries.

mmdet's ``Albu`` and mmpretrain's and mmseg's ``Albumentations`` leave the random numbers to
Albumentations, which draws them anew in every run, and have it take BGR for RGB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from recycling.backends.core import BackendError
from recycling.backends.shared.albumentations_list import AlbumentationsList, one_line


@TRANSFORMS.register_module(name="RecyclingAlbumentations")
class Albumentations(BaseTransform):  # type: ignore[misc]
    """Classes of Albumentations, one after another, with all that belongs to an image.

    Its random numbers come from numpy's own, which a training seeds.

    Args:
        entries: Names and arguments; see `AlbumentationsList`.
        task: ``cls``, ``det`` or ``seg``.
    """

    def __init__(self, entries: list[dict[str, Any]], task: str) -> None:
        self.list = AlbumentationsList(entries, task)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``img`` and ``img_shape`` and what of boxes, label map and masks there is.

        Raises:
            BackendError: A class cannot work on this image.
        """
        boxes = results.get("gt_bboxes")
        masks = results.get("gt_masks")
        try:
            made = self.list(
                results["img"],
                # Within the range of what numpy's old generator gives at once.
                int(np.random.randint(2**31)),
                boxes=None if boxes is None else _corners(boxes),
                label_map=results.get("gt_seg_map"),
                masks=None if masks is None else masks.to_ndarray(),
            )
        except Exception as error:
            image = results.get("img_path", "an image")
            raise BackendError(
                f"{image}: augmentation failed: {one_line(error)}; change the list"
            ) from error
        shape = made.image.shape[:2]
        changed = {**results, "img": made.image, "img_shape": shape}
        if made.label_map is not None:
            changed["gt_seg_map"] = made.label_map
        if boxes is not None:
            changed["gt_bboxes"] = type(boxes)(made.boxes)
            for key in ("gt_bboxes_labels", "gt_ignore_flags"):
                changed[key] = results[key][made.rows]
        if made.masks is not None:
            from mmdet.structures.mask import BitmapMasks

            changed["gt_masks"] = BitmapMasks(made.masks, *shape)
        return changed


def _corners(boxes: Any) -> Any:
    return boxes.tensor.numpy().astype(np.float32)
