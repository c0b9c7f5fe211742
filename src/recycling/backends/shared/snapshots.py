"""The weights at the end of each cycle of the learning rate: as many models by one training.

Huang et al., "Snapshot Ensembles: Train 1, get M for free", ICLR 2017 (arXiv 1704.00109).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError, Checkpoint
from recycling.backends.shared.checkpoint_folder import (
    Trained,
    read_facts,
    snapshot_file,
    write_checkpoint,
)
from recycling.backends.shared.model import Model


class Snapshots:
    """The weights at the end of each cycle but the last, whose end is that of the training.

    Args:
        model: The settings; `snapshots` says how many cycles there are.
        iterations: Of the whole training, with the warm-up, which is before the first cycle.

    Raises:
        BackendError: There are more cycles than iterations.

    >>> import torch
    >>> from types import SimpleNamespace
    >>> settings = SimpleNamespace(snapshots=3, schedule=SimpleNamespace(warmup=0.1))
    >>> snapshots = Snapshots(settings, 100)
    >>> snapshots.ends
    [40, 70]
    >>> for iteration in range(1, 101):
    ...     snapshots.update(iteration, torch.nn.Identity())
    >>> len(snapshots.weights)
    2

    Attributes:
        ends: After how many iterations each is taken.
        weights: The state dicts of then.
    """

    def __init__(self, model: Model, iterations: int) -> None:
        n = model.snapshots or 1
        before = round(model.schedule.warmup * iterations)
        left = iterations - before
        if model.snapshots is not None and left < n:
            raise BackendError(
                f"model {model.recipe!r}: snapshots is {n}, but after the warm-up there are {left} "
                "iterations; lower snapshots or raise epochs"
            )
        self.ends = [before + left * end // n for end in range(1, n)]
        self.weights: list[dict[str, Any]] = []

    def update(self, iteration: int, network: Any) -> None:
        """Take the weights where a cycle has ended.

        Args:
            iteration: How many have passed.
            network: As it would be kept now.
        """
        if iteration in self.ends:
            self.weights.append(
                {
                    name: tensor.detach().cpu().clone()
                    for name, tensor in network.state_dict().items()
                }
            )


def take_snapshot(checkpoint: Checkpoint, model: Model, folder: Path) -> Checkpoint:
    """One of a training's snapshots, as a checkpoint of its own.

    Args:
        checkpoint: What the training left.
        model: The settings of the snapshot; `snapshot` says which it is.
        folder: Where it goes; what was there is replaced.

    Raises:
        BackendError: The training has left no such snapshot, or there is no room for it.
    """
    import torch

    assert model.snapshot is not None
    weights = checkpoint.folder / snapshot_file(model.snapshot)
    if not weights.is_file():
        raise BackendError(f"{weights}: there is no such snapshot; train the model again")
    config = next(checkpoint.folder.glob("config.*"))
    trained = read_facts(checkpoint, config.name)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    own = Trained(model, trained.categories, trained.facts)
    return write_checkpoint(folder, own, state, config.name, config.read_text(encoding="utf-8"))
