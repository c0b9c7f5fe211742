"""The weights at the end of each cycle of the learning rate."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from recycling.backends.mmengine_backend.hooks.current_network import current_network
from recycling.backends.shared.snapshots import Snapshots


class KeepSnapshots(Hook):  # type: ignore[misc]
    """Takes the weights at the end of each cycle.

    Args:
        snapshots: Gets them.
    """

    priority = "LOW"  # after the averaging, before the state is kept

    def __init__(self, snapshots: Snapshots) -> None:
        self.snapshots = snapshots

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        """Take the weights, if a cycle has ended."""
        self.snapshots.update(runner.iter + 1, current_network(runner))

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep them in the state."""
        checkpoint["snapshots"] = self.snapshots.weights

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Go on from those of the state."""
        self.snapshots.weights = checkpoint.get("snapshots", [])
