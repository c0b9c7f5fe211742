"""Networks without memory, to count their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.config_file import (
    CONFIG,
    only_networks,
    read_config,
    text_of,
)


def network_of(config: Any, library: str) -> Any:
    """The network of a config, which is built as from a checkpoint that keeps it."""
    from mmengine.registry import MODELS

    with TemporaryDirectory() as folder:
        path = Path(folder) / CONFIG
        path.write_text(text_of(config.to_dict(), "the recipe"), encoding="utf-8")
        kept = read_config(path)
    assert repr(kept.to_dict()) == repr(config.to_dict())
    with session.library(library), session.silence(), on_meta(), only_networks(path):
        return MODELS.build(kept.model)


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
