"""Which samples an epoch holds: class-balanced draws, and copies of samples of rare classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dataset import ClassBalancedDataset, DefaultSampler
from mmengine.registry import DATA_SAMPLERS, DATASETS

from recycling.backends.shared.copies import repeats_of


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(DefaultSampler):  # type: ignore[misc]
    """Draws a class, each as likely, then one of the samples that hold it.

    An epoch is as long as with any other sampler; samples that hold no class are not drawn.

    Args:
        dataset: What is drawn from; it, or what it wraps, knows ``get_cat_ids``.
        seed: Of the draws; the same in all processes.
    """

    def __init__(self, dataset: Any, seed: int | None = None) -> None:
        super().__init__(dataset, shuffle=True, seed=seed, round_up=True)
        holders: dict[int, list[int]] = {}
        for sample, classes in enumerate(classes_of(dataset)):
            for index in classes:
                holders.setdefault(index, []).append(sample)
        self.holders = [holders[index] for index in sorted(holders)]

    def __iter__(self) -> Iterator[int]:
        # All processes draw the same, and each takes its part.
        rng = np.random.default_rng((self.seed, self.epoch))
        classes = rng.integers(len(self.holders), size=int(self.total_size))
        draws = rng.random(int(self.total_size))
        drawn = [
            self.holders[index][int(draw * len(self.holders[index]))]
            for index, draw in zip(classes.tolist(), draws.tolist(), strict=True)
        ]
        return iter(drawn[self.rank : self.total_size : self.world_size])


@DATASETS.register_module()
class Copies(ClassBalancedDataset):  # type: ignore[misc]
    """A data set whose samples are seen several times in an epoch.

    A sample is seen as often as the class it holds that asks for the most.

    Args:
        dataset: The config of the data set.
        copies: Of each class, in order; None makes each class as frequent as the most frequent one.
    """

    def __init__(self, dataset: dict[str, Any], copies: list[int] | None = None) -> None:
        self.copies = copies
        super().__init__(dataset, oversample_thr=1.0)

    def _get_repeat_factors(self, dataset: Any, repeat_thr: float) -> list[float]:
        return [float(n) for n in repeats_of(list(classes_of(dataset)), self.copies)]


def classes_of(dataset: Any) -> Iterator[set[int]]:
    """The classes that each sample of a data set holds."""
    while not hasattr(dataset, "get_cat_ids"):
        dataset = dataset.dataset
    for sample in range(len(dataset)):
        yield set(dataset.get_cat_ids(sample))
