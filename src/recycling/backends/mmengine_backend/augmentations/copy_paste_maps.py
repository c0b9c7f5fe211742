"""Copy-paste for label maps: regions of another image, with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from recycling.backends.shared.albumentations_list import IGNORED

_BACKGROUND = 0


class PasteRegions(BaseTransform):  # type: ignore[misc]
    """Pastes regions of another image onto this one, pixels and labels.

    A region is what hangs together of one class; background and what is to be ignored are none.
    How many are pasted is drawn, from none to the most.

    Args:
        max_num_pasted: Most regions that are pasted.
        selected: Whether some are drawn; else all are pasted.

    Source: Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for
    Instance Segmentation".
    """

    def __init__(self, max_num_pasted: int = 100, *, selected: bool = True) -> None:
        self.max_num_pasted = max_num_pasted
        self.selected = selected

    def get_indices(self, dataset: Any) -> list[int]:
        """The one other image."""
        return [int(np.random.randint(len(dataset)))]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Paste where both images have pixels, from their upper left corners on."""
        other = results["mix_results"][0]
        height, width = np.minimum(results["img"].shape[:2], other["img"].shape[:2]).tolist()
        labels = other["gt_seg_map"][:height, :width]
        regions = list(regions_of(labels))
        if self.selected:
            n = np.random.randint(0, min(len(regions), self.max_num_pasted) + 1)
            regions = [regions[number] for number in np.random.permutation(len(regions))[:n]]
        pasted = np.zeros((height, width), np.bool_)
        for region in regions[: self.max_num_pasted]:
            pasted |= region
        mixed = dict(results)
        for key in ("img", "gt_seg_map"):
            mixed[key] = results[key].copy()
            mixed[key][:height, :width][pasted] = other[key][:height, :width][pasted]
        return mixed


def regions_of(label_map: NDArray[np.uint8]) -> Iterator[NDArray[np.bool_]]:
    """The regions of a label map, each (H, W).

    >>> [region.sum().item() for region in regions_of(np.array([[1, 0, 1], [1, 0, 2]], np.uint8))]
    [2, 1, 1]
    """
    for value in np.unique(label_map).tolist():
        if value in (_BACKGROUND, IGNORED):
            continue
        n, numbered = cv2.connectedComponents((label_map == value).astype(np.uint8))
        for number in range(1, n):
            yield numbered == number
