"""What some of the libraries' mixes of several images lack: a chance, and a last epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Sometimes(BaseTransform):  # type: ignore[misc]
    """A mix of several images, of mmdet or mmseg, for a share of the samples.

    Whether to mix is drawn before the other images are read.

    Args:
        transforms: The mix, and what is to be done to its result.
        p: The share.
        off_from: The epoch, from 0, from which nothing is mixed; None: each epoch mixes.
    """

    def __init__(
        self, transforms: list[dict[str, Any]], p: float, off_from: int | None = None
    ) -> None:
        self.mix, *self.rest = [TRANSFORMS.build(transform) for transform in transforms]
        self.p = p
        self.off_from = off_from
        # `SeededByEpoch` puts the one in its place that all loader processes see.
        self.epoch = torch.zeros((), dtype=torch.int64)

    def get_indexes(self, dataset: Any) -> list[int]:
        """Which other images the mix needs; none where this sample is not mixed."""
        if self.off_from is not None and int(self.epoch) >= self.off_from:
            return []
        if np.random.random() >= self.p:
            return []
        name = "get_indexes" if hasattr(self.mix, "get_indexes") else "get_indices"
        indexes = getattr(self.mix, name)(dataset)
        return list(indexes) if isinstance(indexes, (list, tuple)) else [indexes]

    get_indices = get_indexes
    """As mmseg calls it."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Mix, where there is something to mix with."""
        if not results["mix_results"]:
            return results
        mixed: dict[str, Any] | None = self.mix(results)
        for transform in self.rest:
            mixed = None if mixed is None else transform(mixed)
        return mixed
