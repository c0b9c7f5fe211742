"""CutMix for boxes and for masks: a rectangle of another image, with what is in it.

Source: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with
Localizable Features"; the share of the image that is replaced is 1 - λ, λ from Beta(α, α).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

Rectangle = tuple[int, int, int, int]
"""``x_min, y_min, x_max, y_max`` in whole pixels."""


def drawn_rectangle(height: int, width: int, alpha: float) -> Rectangle:
    """A rectangle of the image's proportions around any of its pixels, cut at its edges.

    Args:
        height: Of the image, pixels.
        width: Of the image, pixels.
        alpha: Of the Beta distribution of the share that stays.
    """
    side = np.sqrt(1 - np.random.beta(alpha, alpha))
    half_width, half_height = side * width / 2, side * height / 2
    x, y = np.random.uniform(0, width), np.random.uniform(0, height)
    x_min, x_max = np.clip([x - half_width, x + half_width], 0, width).round().astype(int).tolist()
    y_min, y_max = (
        np.clip([y - half_height, y + half_height], 0, height).round().astype(int).tolist()
    )
    return x_min, y_min, x_max, y_max


def inside(boxes: NDArray[np.float32], rectangle: Rectangle) -> NDArray[np.float32]:
    """What of boxes is inside a rectangle, (N, 4); of no area where nothing is.

    >>> inside(np.array([[0, 0, 4, 4], [8, 8, 9, 9]], np.float32), (2, 1, 6, 6)).tolist()
    [[2.0, 1.0, 4.0, 4.0], [6.0, 6.0, 6.0, 6.0]]
    """
    x_min, y_min, x_max, y_max = rectangle
    return np.clip(boxes, (x_min, y_min, x_min, y_min), (x_max, y_max, x_max, y_max)).astype(
        np.float32
    )


def outside(boxes: NDArray[np.float32], rectangle: Rectangle) -> NDArray[np.float32]:
    """The boxes around what a rectangle leaves of boxes, (N, 4).

    Only a rectangle that covers a side from end to end makes a box smaller.

    >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 9]], np.float32)
    >>> outside(boxes, (3, 0, 9, 5)).tolist()
    [[0.0, 0.0, 3.0, 4.0], [0.0, 0.0, 4.0, 9.0]]
    """
    left = boxes.astype(np.float32).copy()
    for low, high in ((0, 1), (1, 0)):
        across = (rectangle[high] <= boxes[:, high]) & (rectangle[high + 2] >= boxes[:, high + 2])
        begin, end = rectangle[low], rectangle[low + 2]
        first = across & (begin <= boxes[:, low]) & (end > boxes[:, low])
        last = across & (end >= boxes[:, low + 2]) & (begin < boxes[:, low + 2]) & ~first
        left[first, low] = np.minimum(end, boxes[first, low + 2])
        left[last, low + 2] = np.maximum(begin, boxes[last, low])
    return left


def areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of boxes, (N,)."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


class CutMixBoxes(BaseTransform):  # type: ignore[misc]
    """A rectangle of another image takes the place of this image's, with the objects in it.

    Boxes are cut where their pixels are; an object of which less is left than `min_visibility` is
    dropped.

    Args:
        alpha: Of the Beta distribution of the share of the image that stays.
        min_visibility: The share of a box, or of its mask where masks are learnt, that has to be
            left.
    """

    def __init__(self, alpha: float = 1.0, min_visibility: float = 0.25) -> None:
        self.alpha = _positive(alpha)
        self.min_visibility = min_visibility

    def get_indexes(self, dataset: Any) -> list[int]:
        """The one other image."""
        return [int(np.random.randint(len(dataset)))]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut out of the part that both images have, and paste."""
        other = results["mix_results"][0]
        height, width = np.minimum(results["img"].shape[:2], other["img"].shape[:2]).tolist()
        rectangle = drawn_rectangle(height, width, self.alpha)
        x_min, y_min, x_max, y_max = rectangle
        image = results["img"].copy()
        image[y_min:y_max, x_min:x_max] = other["img"][y_min:y_max, x_min:x_max]
        parts = [self._part(results, rectangle, image.shape[:2], pasted=False)]
        parts.append(self._part(other, rectangle, image.shape[:2], pasted=True))
        joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        mixed = {**results, "img": image}
        mixed["gt_bboxes"] = type(results["gt_bboxes"])(joined.pop("boxes"))
        if "masks" in joined:
            from mmdet.structures.mask import BitmapMasks

            mixed["gt_masks"] = BitmapMasks(joined.pop("masks"), *image.shape[:2])
        return {**mixed, **joined}

    def _part(
        self, sample: dict[str, Any], rectangle: Rectangle, shape: tuple[int, int], *, pasted: bool
    ) -> dict[str, NDArray[Any]]:
        """What is left of a sample's objects: inside the rectangle if pasted, else outside."""
        before = sample["gt_bboxes"].tensor.numpy().astype(np.float32)
        boxes = (inside if pasted else outside)(before, rectangle)
        within = areas(inside(before, rectangle))
        visible = within if pasted else areas(before) - within
        whole = areas(before)
        masks = None
        if sample.get("gt_masks") is not None:
            from mmdet.structures.mask import BitmapMasks

            masks, visible, whole = _cut_masks(sample["gt_masks"], rectangle, shape, pasted=pasted)
            boxes = BitmapMasks(masks, *shape).get_bboxes("hbox").tensor.numpy()
        sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
        kept = (visible >= self.min_visibility * whole) & (visible > 0) & (sides >= 1)
        part = {key: sample[key][kept] for key in ("gt_bboxes_labels", "gt_ignore_flags")}
        return {**part, "boxes": boxes[kept], **({} if masks is None else {"masks": masks[kept]})}


def _cut_masks(
    given: Any, rectangle: Rectangle, shape: tuple[int, int], *, pasted: bool
) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[Any]]:
    """Masks of the image's shape, cut; how many pixels of each are left, and were there."""
    before = given.to_ndarray()
    x_min, y_min, x_max, y_max = rectangle
    masks = np.zeros((len(before), *shape), np.uint8)
    if pasted:
        masks[:, y_min:y_max, x_min:x_max] = before[:, y_min:y_max, x_min:x_max]
    else:
        masks[:] = before
        masks[:, y_min:y_max, x_min:x_max] = 0
    return masks, masks.sum(axis=(1, 2)), before.sum(axis=(1, 2))


class CutMixMaps(BaseTransform):  # type: ignore[misc]
    """A rectangle of another image takes the place of this image's, with its labels.

    Args:
        alpha: Of the Beta distribution of the share of the image that stays.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _positive(alpha)

    def get_indices(self, dataset: Any) -> list[int]:
        """The one other image."""
        return [int(np.random.randint(len(dataset)))]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut out of the part that both images have, and paste."""
        other = results["mix_results"][0]
        height, width = np.minimum(results["img"].shape[:2], other["img"].shape[:2]).tolist()
        x_min, y_min, x_max, y_max = drawn_rectangle(height, width, self.alpha)
        mixed = dict(results)
        for key in ("img", "gt_seg_map"):
            mixed[key] = results[key].copy()
            mixed[key][y_min:y_max, x_min:x_max] = other[key][y_min:y_max, x_min:x_max]
        return mixed


def _positive(alpha: float) -> float:
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}; give more than 0")
    return alpha
