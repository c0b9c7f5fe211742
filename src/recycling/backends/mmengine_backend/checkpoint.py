"""The folder that a training leaves and a prediction starts from."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared.checkpoint_folder import WEIGHTS

CONFIG = "config.py"


def read_weights(path: Path, device: Any = "cpu") -> dict[str, Any]:
    """The state dict in a file, or in a checkpoint's folder; no code in it is run.

    Args:
        path: The file or folder.
        device: What torch calls ``map_location``.

    Raises:
        BackendError: There is none, or the file holds more than tensors.
    """
    import torch

    file = path / WEIGHTS if path.is_dir() else path
    try:
        with torch.serialization.safe_globals(_log_of_mmengine()):
            content = torch.load(file, map_location=device, weights_only=True)
    except OSError as error:
        raise BackendError(f"{file}: {error.strerror or error}; check the path") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise BackendError(f"{file}: not a file of plain tensors; it is not loaded") from error
    state = content if isinstance(content, dict) else None
    for key in ("state_dict", "model"):  # OpenMMLab's and others' name for it
        if state and isinstance(state.get(key), dict):
            state = state[key]
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BackendError(f"{file}: no state dict of tensors in it; it is not loaded")
    return dict(state)


def _log_of_mmengine() -> list[Any]:
    """What mmengine's own checkpoints hold beside tensors: numbers that were logged."""
    import numpy as np
    from mmengine.logging import HistoryBuffer
    from numpy._core import multiarray

    numbers = [type(np.dtype(name)) for name in ("float64", "int64", "uint32")]
    return [
        HistoryBuffer,
        multiarray._reconstruct,
        multiarray.scalar,
        np.ndarray,
        np.dtype,
        *numbers,
    ]


def load_pretrained(network: Any, path: Path) -> None:
    """Put the weights in `path` into a network, but for layers of another shape (the classes').

    Raises:
        BackendError: Neither its backbone's nor half of the network's weights are there: it is
            another model's.
    """
    own = network.state_dict()
    fitting = {
        name: tensor
        for name, tensor in read_weights(path).items()
        if name in own and own[name].shape == tensor.shape
    }
    backbone = {name for name in own if name.startswith("backbone.")}
    if 2 * len(fitting) < len(own) and not (backbone and backbone <= set(fitting)):
        raise BackendError(
            f"{path}: only {len(fitting)} of the network's {len(own)} weights are in it; "
            "it belongs to another model"
        )
    network.load_state_dict(fitting, strict=False)
