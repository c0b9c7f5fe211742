"""mmdet's ``CopyPaste`` for images of unlike shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import CopyPaste, Pad


class PasteObjects(CopyPaste):  # type: ignore[misc]
    """Pastes objects of another image, by their masks or, where there are none, by their boxes.

    (Ghiasi et al. 2021.) The library's own wants two images of one shape, and gives one of
    whole numbers that the transforms behind it do not take.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pad both images to the larger height and width, and paste."""
        other = dict(results["mix_results"][0])
        # The library makes masks of boxes only where it selects some of them.
        other["gt_masks"] = self.get_gt_masks(other)
        shapes = (results["img"].shape, other["img"].shape)
        height, width = (max(side) for side in zip(shapes[0][:2], shapes[1][:2], strict=True))
        pad = Pad(size=(width, height), pad_val={"img": 114, "seg": 255})
        pasted: dict[str, Any] = super().transform(
            {**pad(results), "mix_results": [pad(other)]},
        )
        return {**pasted, "img": pasted["img"].astype(np.uint8)}


class ForgetMasks(BaseTransform):  # type: ignore[misc]
    """Drops masks that were there for pasting only, and that no mix behind it would move."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Drop ``gt_masks``."""
        return {key: value for key, value in results.items() if key != "gt_masks"}
