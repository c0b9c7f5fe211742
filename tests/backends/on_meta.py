"""Networks without memory, to count their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _LinspaceInMemory(TorchFunctionMode):
    """The libraries read numbers, the rates of stochastic depth, from it."""

    def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.linspace:
            kwargs["device"] = "cpu"
        return function(*args, **kwargs)


@contextmanager
def on_meta() -> Iterator[None]:
    """Weights made inside have a shape and no values."""
    with torch.device("meta"), _LinspaceInMemory():
        yield
