"""Random numbers that depend on the seed and the epoch alone, so that a training can go on."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from torch.utils.data import get_worker_info

HERE, NETWORK, FIRST_LOADER = range(3)
"""Who draws: the transforms in this process, the network, the transforms in loader processes."""


def seed_all(*entropy: int) -> None:
    """Seed Python's, numpy's and torch's own random numbers.

    Args:
        entropy: Whole numbers from 0; the same ones give the same random numbers.
    """
    python, array, tensor = np.random.SeedSequence(entropy).generate_state(3).tolist()
    random.seed(python)
    np.random.seed(array)
    torch.manual_seed(tensor)


@DATASETS.register_module()
class SeededByEpoch:
    """A data set whose loader processes begin each epoch with random numbers of its own.

    Loader processes live as long as the training; what they have drawn so far would otherwise
    decide what they draw next, and a training that goes on after a stop has new ones.

    Args:
        dataset: The config of the data set.
        seed: Of the training.
    """

    def __init__(self, dataset: dict[str, Any], seed: int) -> None:
        self.dataset = DATASETS.build(dataset)
        self.seed = seed
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self.seeded_for = -1
        # Whatever within looks at the epoch sees this one.
        within = self.dataset
        while within is not None:
            steps = vars(within).get("pipeline")
            for each in (within, *(steps if isinstance(steps, list) else ())):
                if "epoch" in vars(each):
                    each.epoch = self.epoch
            within = vars(within).get("dataset")

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        worker = get_worker_info()
        epoch = int(self.epoch)
        if worker is not None and epoch != self.seeded_for:
            seed_all(self.seed, epoch, get_rank(), FIRST_LOADER + worker.id)
            self.seeded_for = epoch
        return self.dataset[index]

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # while it is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)


class SeedEpochs(Hook):  # type: ignore[misc]
    """Seeds each epoch, here and in the loader processes.

    Args:
        seed: Of the training.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_epoch(self, runner: Any) -> None:
        """Seed before the loader is asked for the first batch."""
        runner.train_dataloader.dataset.epoch.fill_(runner.epoch)
        seed_all(self.seed, runner.epoch, get_rank(), HERE)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed what the network draws: starting loader processes has drawn numbers too."""
        if batch_idx == 0:
            seed_all(self.seed, runner.epoch, get_rank(), NETWORK)
