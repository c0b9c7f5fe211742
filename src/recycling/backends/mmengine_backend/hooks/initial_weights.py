"""The weights that a training starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook


class StartFrom(Hook):  # type: ignore[misc]
    """Puts weights into the model after the library has initialised it.

    Args:
        load: Puts them into the model that it is given.
    """

    priority = "VERY_HIGH"

    def __init__(self, load: Callable[[Any], None]) -> None:
        self.load = load

    def before_train(self, runner: Any) -> None:
        """Put the weights in."""
        from mmengine.model import is_model_wrapper

        self.load(runner.model.module if is_model_wrapper(runner.model) else runner.model)
