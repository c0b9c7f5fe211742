"""Labelled images, each with one that has no labels: what a student of a teacher learns from."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import DATASETS

BRANCHES = ("sup", "unsup_teacher", "unsup_student")
"""As mmdet's semi-supervised detectors call the images of a batch."""


@DATASETS.register_module()
class WithUnlabelledImages:
    """Labelled images in their order, each with another image that is drawn, twice.

    Args:
        dataset: The config of the labelled images.
        unlabelled: Of the others, as they are read.
        weak: The transforms of those that the teacher labels.
        strong: Of the same, from which the student learns.
    """

    def __init__(
        self,
        dataset: dict[str, Any],
        unlabelled: dict[str, Any],
        weak: list[dict[str, Any]],
        strong: list[dict[str, Any]],
    ) -> None:
        self.dataset = DATASETS.build(dataset)
        self.metainfo = self.dataset.metainfo
        self.unlabelled = DATASETS.build(unlabelled)
        self.views = (Compose(weak), Compose(strong))

    def full_init(self) -> None:
        """Nothing is left to do; mmengine asks."""

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, dict[str, Any]]:
        """For each of the library's keys, the image of each branch."""
        image = self.unlabelled[np.random.randint(len(self.unlabelled))]
        # Boxes go from one view to the other by way of the image as it was read.
        image["ori_shape"] = image["img_shape"]
        samples = (self.dataset[index], *(view(copy.deepcopy(image)) for view in self.views))
        return {
            key: {branch: sample[key] for branch, sample in zip(BRANCHES, samples, strict=True)}
            for key in ("inputs", "data_samples")
        }
