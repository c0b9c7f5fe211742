"""Weights & Biases, into the run's folder."""

from __future__ import annotations

from typing import Any

from mmengine.registry import VISBACKENDS
from mmengine.visualization import WandbVisBackend


@VISBACKENDS.register_module()
class Wandb(WandbVisBackend):  # type: ignore[misc]
    """mmengine's own backend, but that it does not copy every Python file below the folder.

    That copy takes in a virtual environment, if it lies there, and delays each training.
    """

    def add_config(self, config: Any, **_: Any) -> None:
        """Record the config."""
        self.experiment.config.update(config.to_dict(), allow_val_change=True)
