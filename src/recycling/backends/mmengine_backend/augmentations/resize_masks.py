"""As ``resize``, of the masks of boxes."""

from __future__ import annotations

from typing import Any

from mmdet.datasets.transforms import Resize

from recycling.backends.mmengine_backend.augmentations.resize import resized_masks


class ResizeMasks(Resize):  # type: ignore[misc]
    """mmdet's ``Resize`` for masks of boxes."""

    def _resize_masks(self, results: dict[str, Any]) -> None:
        if results.get("gt_masks") is not None:
            results["gt_masks"] = resized_masks(results["gt_masks"], results["img_shape"][:2])
