"""Which samples an epoch holds: class-balanced draws, copies, a number of samples, a first part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import ClassBalancedDataset, DefaultSampler
from mmengine.registry import DATA_SAMPLERS, DATASETS
from numpy.typing import NDArray

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
        self.holders = _holders(list(classes_of(dataset)), range(len(dataset)))

    def __iter__(self) -> Iterator[int]:
        # All processes draw the same, and each takes its part.
        drawn = _balanced_draws(self.holders, int(self.total_size), (self.seed, self.epoch))
        return iter(drawn[self.rank : self.total_size : self.world_size])


def _holders(classes: Sequence[set[int]], samples: Iterable[int]) -> list[list[int]]:
    """For each class that is there, in order, which of some samples hold it."""
    holders: dict[int, list[int]] = {}
    for sample in samples:
        for index in classes[sample]:
            holders.setdefault(index, []).append(sample)
    return [holders[index] for index in sorted(holders)]


def _balanced_draws(holders: list[list[int]], n: int, entropy: tuple[int, ...]) -> list[int]:
    """So many draws of a class, each as likely, and of one of the samples that hold it."""
    rng = np.random.default_rng(entropy)
    classes = rng.integers(len(holders), size=n)
    draws = rng.random(n)
    return [
        holders[index][int(draw * len(holders[index]))]
        for index, draw in zip(classes.tolist(), draws.tolist(), strict=True)
    ]


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


@DATASETS.register_module()
class RepeatFactors(ClassBalancedDataset):  # type: ignore[misc]
    """A data set whose samples of rare classes are seen several times in an epoch.

    The factors are those of Gupta et al. (2019). What one has behind the point is drawn, once for
    all epochs; mmengine rounds it up, so that each sample of a slightly rare class is there twice.

    Args:
        dataset: The config of the data set.
        threshold: The share of samples below which a class is rare.
        seed: Of the draws.
    """

    def __init__(self, dataset: dict[str, Any], threshold: float, seed: int) -> None:
        self.seed = seed
        super().__init__(dataset, oversample_thr=threshold)

    def _get_repeat_factors(self, dataset: Any, repeat_thr: float) -> list[float]:
        factors = np.array(super()._get_repeat_factors(dataset, repeat_thr))
        whole = np.floor(factors)
        draws = np.random.default_rng(self.seed).random(len(factors))
        repeats: list[float] = (whole + (draws < factors - whole)).tolist()
        return repeats


@DATASETS.register_module()
class SamplesByEpoch:
    """A data set whose epochs hold a given number of samples, at the end only labelled ones.

    It has a place for each sample of an epoch. What stands there depends on the seed and the epoch
    alone: all samples are gone through in a shuffled order, then in another one, and the next epoch
    goes on where this one ends. So a mix of several images takes its others from the epoch's
    samples, too, and a training goes on after a stop as it would have.

    Args:
        dataset: The config of the data set.
        n_samples: How many samples an epoch holds.
        pseudo: The samples that models have labelled: the first, and the one after the last, of
            each part.
        labeled_from: The epoch, from 0, from which those have no part; None lets them.
        class_balanced: Draw a class, each as likely, then one of the samples that hold it.
        seed: Of the training.
    """

    def __init__(
        self,
        dataset: dict[str, Any],
        n_samples: int,
        pseudo: Sequence[Sequence[int]] = (),
        labeled_from: int | None = None,
        class_balanced: bool = False,
        seed: int = 0,
    ) -> None:
        self.dataset = DATASETS.build(dataset)
        self.metainfo = self.dataset.metainfo
        self.n_samples = n_samples
        self.labeled_from = labeled_from
        self.seed = seed
        # `SeededByEpoch` puts the one in its place that all loader processes see.
        self.epoch = torch.zeros((), dtype=torch.int64)
        # Copies of a sample come from where it does.
        originals = getattr(self.dataset, "repeat_indices", range(len(self.dataset)))
        labeled = [
            sample
            for sample, original in enumerate(originals)
            if not any(first <= original < end for first, end in pseudo)
        ]
        self.parts = (range(len(self.dataset)), labeled)
        classes = list(classes_of(self.dataset)) if class_balanced else []
        self.holders = [_holders(classes, part) for part in self.parts if class_balanced]
        self.known: tuple[int, NDArray[np.int64]] | None = None

    def full_init(self) -> None:
        """Nothing is left to do; mmengine asks."""

    def samples(self, epoch: int) -> NDArray[np.int64]:
        """Which samples an epoch holds, (n_samples,).

        Args:
            epoch: From 0.
        """
        late = self.labeled_from is not None and epoch >= self.labeled_from
        if self.holders:
            drawn = _balanced_draws(self.holders[late], self.n_samples, (self.seed, epoch))
            return np.array(drawn, np.int64)
        part = np.array(self.parts[late], np.int64)
        began = self.labeled_from if late and self.labeled_from else 0
        first = (epoch - began) * self.n_samples
        positions = np.arange(first, first + self.n_samples)
        rounds, places = np.divmod(positions, len(part))
        taken = np.empty(self.n_samples, np.int64)
        for number in np.unique(rounds).tolist():
            order = np.random.default_rng((self.seed, int(late), number)).permutation(len(part))
            of_round = rounds == number
            taken[of_round] = part[order[places[of_round]]]
        return taken

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, place: int) -> Any:
        epoch = int(self.epoch)
        if self.known is None or self.known[0] != epoch:
            self.known = (epoch, self.samples(epoch))
        return self.dataset[int(self.known[1][place])]


def classes_of(dataset: Any) -> Iterator[set[int]]:
    """The classes that each sample of a data set holds."""
    while not hasattr(dataset, "get_cat_ids"):
        dataset = dataset.dataset
    for sample in range(len(dataset)):
        yield set(dataset.get_cat_ids(sample))
