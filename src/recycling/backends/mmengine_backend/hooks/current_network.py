"""The network of a training, out of the library's Runner."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import EMAHook
from mmengine.model import is_model_wrapper


def network_of(runner: Any) -> torch.nn.Module:
    """The network that learns, without the wrapper for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model  # type: ignore[no-any-return]


def current_network(runner: Any) -> torch.nn.Module:
    """The network as it would be kept now: averaged where the training averages, or the teacher."""
    network = network_of(runner)
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            network = hook.ema_model.module
    return getattr(network, "teacher", network)
