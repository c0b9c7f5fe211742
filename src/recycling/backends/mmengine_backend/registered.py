"""What the project adds to the libraries' registries: reading pictures, crops and label maps."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, OPTIM_WRAPPERS, TRANSFORMS
from numpy.typing import NDArray

from recycling.backends.core import BackendError

CACHE_BYTES = 512 * 2**20
"""Decoded pictures kept in memory; a small data set is then decoded once for all models."""

_cache: OrderedDict[tuple[str, int], NDArray[np.uint8]] = OrderedDict()


def read_picture(path: str) -> NDArray[np.uint8]:
    """A picture in BGR, (H, W, 3); the array is shared, so do not write to it.

    Raises:
        BackendError: The file is missing or is no picture.
    """
    try:
        key = (path, os.stat(path).st_mtime_ns)  # noqa: PTH116 - hot path
    except OSError as error:
        raise BackendError(f"{path}: {error.strerror}; check the image folder") from error
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    decoded = cv2.imread(path, cv2.IMREAD_COLOR)
    if decoded is None:
        raise BackendError(f"{path}: not a picture that can be read; run data_cleaning")
    picture = np.asarray(decoded, dtype=np.uint8)
    _cache[key] = picture
    while sum(kept.nbytes for kept in _cache.values()) > CACHE_BYTES:
        _cache.popitem(last=False)
    return picture


@TRANSFORMS.register_module()
class ReadPicture(BaseTransform):  # type: ignore[misc]
    """Read the picture ``img_path``; takes the place of the libraries' ``LoadImageFromFile``."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``img``, ``img_shape`` and ``ori_shape``."""
        # Some of the libraries' transforms change the picture in place.
        picture = read_picture(results["img_path"]).copy()
        shape = picture.shape[:2]
        if "height" in results and shape != (results["height"], results["width"]):
            raise BackendError(
                f"{results['img_path']}: {shape[1]} x {shape[0]} pixels, but its annotations say "
                f"{results['width']} x {results['height']}; run data_cleaning"
            )
        return {**results, "img": picture, "img_shape": shape, "ori_shape": shape}


@TRANSFORMS.register_module()
class ReadCrop(BaseTransform):  # type: ignore[misc]
    """Cut the square around ``box`` out of the picture ``img_path``.

    Args:
        size: Side of the result, pixels.
        margin: Context on each side, as a share of the box's longer side.
    """

    def __init__(self, size: int, margin: float = 0.1) -> None:
        self.size = size
        self.margin = margin

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``img``, ``img_shape`` and ``ori_shape``."""
        picture = read_picture(results["img_path"])
        x_min, y_min, x_max, y_max = results["box"]
        side = max(x_max - x_min, y_max - y_min, 1.0) * (1 + 2 * self.margin)
        scale = self.size / side
        # Maps the square's corner to the origin; beyond the picture's edge its last pixels repeat.
        to_crop = np.array(
            [
                [scale, 0, self.size / 2 - scale * (x_min + x_max) / 2],
                [0, scale, self.size / 2 - scale * (y_min + y_max) / 2],
            ]
        )
        if scale < 0.5:  # bilinear interpolation would skip pixels
            picture, to_crop = _shrunk(picture, to_crop, scale)
        crop = cv2.warpAffine(
            picture,
            to_crop,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        shape = crop.shape[:2]
        return {**results, "img": crop, "img_shape": shape, "ori_shape": shape}


def _shrunk(
    picture: NDArray[np.uint8], to_crop: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    height, width = picture.shape[:2]
    small = cv2.resize(
        picture,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    factors = np.array([small.shape[1] / width, small.shape[0] / height])
    rescaled = to_crop.copy()
    rescaled[0, 0] /= factors[0]
    rescaled[1, 1] /= factors[1]
    return np.asarray(small, dtype=np.uint8), rescaled


@DATASETS.register_module()
class PaintedImages(BaseDataset):  # type: ignore[misc]
    """Pictures with label maps, for mmseg, from an annotation file in the OpenMMLab 2.0 format.

    mmseg's own datasets find label maps by file name only.
    """

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """Add what mmseg's transforms expect of a sample."""
        return {**raw_data_info, "label_map": None, "reduce_zero_label": False, "seg_fields": []}


@OPTIM_WRAPPERS.register_module()
class Bf16OnCpu(OptimWrapper):  # type: ignore[misc]
    """Trains in bf16 on a CPU, where mmengine's ``AmpOptimWrapper`` asks for a GPU.

    On a CPU with AVX-512 BF16 a convolution takes two thirds of the time that it takes in fp32.
    """

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """Compute the losses of `model` in bf16 where that is safe."""
        with super().optim_context(model), torch.autocast("cpu", dtype=torch.bfloat16):
            yield
