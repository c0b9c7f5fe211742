"""How a training runs: accumulation, averaged weights, processes."""

from __future__ import annotations

from typing import Any

from recycling.backends.shared.model import Model


def set_running(config: Any, model: Model) -> None:
    """Put `accumulate`, `ema` and `devices` into a config.

    Args:
        config: The resolved ``mmengine.Config``; changed in place.
        model: The settings.
    """
    _set_accumulation(config, model)
    _set_averaging(config, model)
    _set_devices(config, model)


def _set_accumulation(config: Any, model: Model) -> None:
    """The gradients of some steps are averaged; schedules go on counting steps."""
    if model.accumulate > 1:
        config.optim_wrapper.accumulative_counts = model.accumulate


def _set_averaging(config: Any, model: Model) -> None:
    """The given average takes the place of the recipe's own."""
    if model.ema is None:
        return
    average = {
        "type": "EMAHook",
        "ema_type": "ExponentialMovingAverage",
        # mmengine counts the new weights' share.
        "momentum": 1 - model.ema,
    }
    others = [hook for hook in config.custom_hooks if hook["type"] != "EMAHook"]
    config.custom_hooks = [*others, average]


def _set_devices(config: Any, model: Model) -> None:
    """Several processes, on GPUs with batch normalisation over all of them."""
    import torch

    if model.n_devices == 1:
        return
    config.launcher = "pytorch"
    config.model_wrapper_cfg = {
        "type": "FastestFormatDataParallel",
        "broadcast_buffers": False,
        # Some detectors leave out a branch where an image holds no object.
        "find_unused_parameters": True,
    }
    if model.channels_last is not None:
        config.model_wrapper_cfg.channels_last = model.channels_last
    if torch.cuda.is_available():
        config.sync_bn = "torch"
    else:
        config.model_wrapper_cfg.device_ids = None
