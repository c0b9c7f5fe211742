"""Networks without memory, to count their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def on_meta() -> Iterator[None]:
    """Weights made inside have a shape and no values."""
    import torch
    from torch.overrides import TorchFunctionMode

    class LinspaceInMemory(TorchFunctionMode):
        """The libraries read numbers, the rates of stochastic depth, from it."""

        def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:
            kwargs = dict(kwargs or {})
            if function is torch.linspace:
                kwargs["device"] = "cpu"
            return function(*args, **kwargs)

    with torch.device("meta"), LinspaceInMemory():
        yield
