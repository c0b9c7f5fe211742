"""What the project adds to the libraries' registries: reading images, crops and label maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, OPTIM_WRAPPERS, TRANSFORMS
from numpy.typing import NDArray

import recycling.backends.mmengine_backend.augmentations
import recycling.backends.mmengine_backend.data.samplers  # noqa: F401
from recycling.annotations.masks import of_size
from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend.augmentations.resize import resized_masks
from recycling.backends.mmengine_backend.data.image_cache import (
    CACHE,
    decoded,
    last_decoded,
    stored_size,
)
from recycling.backends.shared.albumentations_list import IGNORED
from recycling.backends.shared.crops import MARGIN, crop_side, cut_crop
from recycling.backends.shared.fitting import fitted, fitted_from_halved, halvings
from recycling.backends.shared.image_cache import modified

CACHE_BYTES = 512 * 2**20
"""Of decoded images in memory, where a config says nothing."""


@TRANSFORMS.register_module()
class ReadImage(BaseTransform):  # type: ignore[misc]
    """Read the image ``img_path``; takes the place of the libraries' ``LoadImageFromFile``.

    An image that is in memory, ``pixels`` in RGB, is taken from there.

    Args:
        side: Of the result the longer side, pixels, as `fitted` makes it; None leaves the image as
            it is. `ScaleLabels` then makes the labels fit.
        smaller: Whether a JPEG is decoded at a smaller scale where `side` allows it, which is
            faster; pixels then differ from those of `fitted` by less than 1 of 255, on average.
        cache_bytes: Images to keep in this process at most.
    """

    def __init__(
        self, side: int | None = None, smaller: bool = False, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.side = side
        self.smaller = smaller
        self.cache_bytes = cache_bytes

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``img``, ``img_shape``, ``ori_shape``, ``scale_factor`` (width, height)."""
        path, pixels = results["img_path"], results.pop("pixels", None)
        if pixels is None:
            whole = self._stored_shape(path)
            part = (self.side, self.smaller)
            image = CACHE.of_file(path, part, self.cache_bytes, lambda: self._read(path, whole))
            # Some of the libraries' transforms change the image in place.
            image = image.copy()
        else:
            whole = pixels.shape[:2]
            image = pixels if self.side is None else fitted(pixels, self.side)
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
        if "height" in results and whole != (results["height"], results["width"]):
            raise BackendError(
                f"{path}: {whole[1]} x {whole[0]} pixels, but its annotations say "
                f"{results['width']} x {results['height']}; run data_cleaning"
            )
        shape = image.shape[:2]
        read = {"img": image, "img_shape": shape, "ori_shape": whole}
        if self.side is not None:
            read["scale_factor"] = (shape[1] / whole[1], shape[0] / whole[0])
        return {**results, **read}

    def _read(self, path: str, whole: tuple[int, int]) -> NDArray[np.uint8]:
        if self.side is None:
            return decoded(path)
        if not self.smaller:
            return fitted(decoded(path), self.side)
        image = decoded(path, halvings(max(whole), self.side))
        return fitted_from_halved(image, *whole, self.side)

    @staticmethod
    def _stored_shape(path: str) -> tuple[int, int]:
        size = stored_size(path, modified(path))
        if size is None:
            decoded(path)  # says what is wrong with it
            raise BackendError(f"{path}: its size cannot be read; run data_cleaning")
        return size[1], size[0]


@TRANSFORMS.register_module()
class ScaleLabels(BaseTransform):  # type: ignore[misc]
    """Make boxes, masks and label maps fit an image that `ReadImage` has made smaller or larger.

    Boxes as mmdet's ``Resize`` does; of masks and label maps the pixel under each centre is taken.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``gt_bboxes``, ``gt_masks`` and ``gt_seg_map``, where they are there."""
        shape = results["img_shape"]
        if (boxes := results.get("gt_bboxes")) is not None:
            boxes.rescale_(results["scale_factor"])
            boxes.clip_(shape)
        if (masks := results.get("gt_masks")) is not None:
            results["gt_masks"] = resized_masks(masks, shape)
        if (label_map := results.get("gt_seg_map")) is not None:
            results["gt_seg_map"] = of_size(label_map, shape)
        return results


@TRANSFORMS.register_module()
class ReadCrop(BaseTransform):  # type: ignore[misc]
    """Cut the square around ``box`` out of the image ``img_path``, or out of ``pixels`` (RGB).

    Args:
        size: Side of the result, pixels.
        margin: Context on each side, as a share of the box's longer side.
        smaller: As of `ReadImage`.
        cache_bytes: Crops to keep in this process at most.
        largest: A larger side, pixels, up to which the square is left as it is in the file, for a
            random crop to come; None makes each of `size`.
    """

    def __init__(
        self,
        size: int,
        margin: float = MARGIN,
        smaller: bool = False,
        cache_bytes: int = CACHE_BYTES,
        largest: int | None = None,
    ) -> None:
        self.size = size
        self.largest = size if largest is None else largest
        self.margin = margin
        self.smaller = smaller
        self.cache_bytes = cache_bytes

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``img``, ``img_shape`` and ``ori_shape``."""
        path, box = results["img_path"], tuple(results["box"])
        pixels = results.pop("pixels", None)
        size = min(max(self.size, round(crop_side(box, self.margin))), self.largest)
        if pixels is None:
            part = (size, self.margin, self.smaller, box)
            cut = partial(self._cut_from, path, box, size)
            crop = CACHE.of_file(path, part, self.cache_bytes, cut)
        else:
            crop = cut_crop(pixels, box, size, self.margin)
            crop = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), np.uint8)
        # Some of the libraries' transforms change it in place.
        crop, shape = crop.copy(), crop.shape[:2]
        return {**results, "img": crop, "img_shape": shape, "ori_shape": shape}

    def _cut_from(self, path: str, box: tuple[float, ...], size: int) -> NDArray[np.uint8]:
        times = halvings(crop_side(box, self.margin), size) if self.smaller else 0
        image = last_decoded(path, modified(path), times)
        return cut_crop(image, box, size, self.margin, times)


@DATASETS.register_module()
class BoxesAndIgnoreRegions(BaseDataset):  # type: ignore[misc]
    """Images with boxes of which some are regions to be ignored, for mmdet.

    mmdet's own data set takes an ignore region for an object that the image holds.
    """

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes of an image's objects."""
        instances = self.get_data_info(idx)["instances"]
        return [each["bbox_label"] for each in instances if not each["ignore_flag"]]


@DATASETS.register_module()
class LabelMapDataset(BaseDataset):  # type: ignore[misc]
    """Images with label maps, for mmseg, from an annotation file in the OpenMMLab 2.0 format.

    mmseg's own datasets find label maps by file name only.
    """

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """Add what mmseg's transforms expect of a sample."""
        return {**raw_data_info, "label_map": None, "reduce_zero_label": False, "seg_fields": []}

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes that a label map shows, without the background."""
        path = Path(self.get_data_info(idx)["seg_map_path"])
        return list(_painted(str(path), path.stat().st_mtime_ns))


@cache
def _painted(path: str, modified: int) -> tuple[int, ...]:
    label_map = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if label_map is None:
        raise BackendError(f"{path}: the label map cannot be read; remove the run's folder")
    return tuple(value for value in np.unique(label_map).tolist() if value not in (0, IGNORED))


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
