"""Weights & Biases, into the run's folder.

Nothing may import this before detectron2 is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from detectron2.utils.events import EventWriter, get_event_storage

from recycling.backends.core import BackendError
from recycling.backends.detectron2_backend.session import one_line
from recycling.backends.shared.model import Model
from recycling.backends.shared.tracking import WANDB_MODE, wandb_settings


@contextmanager
def tracked(model: Model, config: Any, work_dir: Path) -> Iterator[list[Wandb]]:
    """A run of W&B for a training, named and grouped as the other libraries' are.

    Args:
        model: The settings.
        config: The resolved ``CfgNode``; kept with the run.
        work_dir: Gets the folder ``wandb``.

    Yields:
        What writes into the run; nothing where W&B is off.

    Raises:
        BackendError: W&B is on, but it is not installed or cannot begin a run.
    """
    settings = wandb_settings(model)
    if settings is None:
        yield []
        return
    try:
        import wandb

        run = wandb.init(**settings, dir=work_dir, config=yaml.safe_load(config.dump()))
    except Exception as error:  # no login, no network, no room
        raise BackendError(
            f"{work_dir.name}: W&B cannot track the training: {one_line(error)}; "
            f"set {WANDB_MODE}=disabled to train without"
        ) from error
    try:
        yield [Wandb(run)]
    finally:
        run.finish()


class Wandb(EventWriter):  # type: ignore[misc]
    """Writes what the library's other writers write.

    Args:
        run: Of W&B.
    """

    def __init__(self, run: Any) -> None:
        self.run = run

    def write(self) -> None:
        """Losses and rates of the latest iteration."""
        storage = get_event_storage()
        latest = storage.latest_with_smoothing_hint()
        self.run.log({name: value for name, (value, _) in latest.items()}, step=storage.iter)
