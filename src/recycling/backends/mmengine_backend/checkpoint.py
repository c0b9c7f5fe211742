"""The folder that a training leaves and a prediction starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recycling.backends.shared.weight_files import read_state
from recycling.backends.shared.weight_layouts import check_fit, fit, fit_of_library, say_fit

BACKBONE = "backbone."
"""How the names of a backbone's weights begin."""


def read_weights(path: Path, device: Any = "cpu") -> dict[str, Any]:
    """The state dict in a file, or in a checkpoint's folder; no code in it is run.

    Args:
        path: The file or folder.
        device: What torch calls ``map_location``.

    Raises:
        BackendError: There is none, or the file holds more than tensors.
    """
    return read_state(path, device, _log_of_mmengine())[0]


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


def load_pretrained(network: Any, path: Path, name: str) -> None:
    """Put the weights in `path` into a network, but for layers of another shape (the classes').

    Args:
        network: Changed in place.
        path: A checkpoint of ours, or a file of weights as others write them.
        name: What the model is called in a message.

    Raises:
        BackendError: Neither its backbone's nor half of the network's weights are there: it is
            another model's.
    """
    found, where = read_state(path, known=_log_of_mmengine())
    fitted = fit(network.state_dict(), found)
    check_fit(fitted, path, name, BACKBONE)
    network.load_state_dict(fitted.weights, strict=False)
    say_fit(fitted, path, where, name, BACKBONE)


def load_official(network: Any, path: Path, name: str) -> None:
    """Put the weights of the recipe's own network into a network, as the library itself does.

    Its layers may know older names and other sizes of theirs, which are read, too. One line says
    what was there.

    Args:
        network: Changed in place.
        path: The file that the recipe names in ``load_from``.
        name: What the model is called in a message.

    Raises:
        BackendError: It is no file of plain tensors.
    """
    from mmengine.runner.checkpoint import load_state_dict

    found, where = read_state(path, known=_log_of_mmengine())
    found = {key.removeprefix("module."): tensor for key, tensor in found.items()}
    before = {
        key: tensor.clone()
        for key, tensor in network.state_dict().items()
        if key in found and tensor.shape != found[key].shape
    }
    missing: list[str] = []
    unused: list[str] = []

    def remember(_: Any, keys: Any) -> None:
        missing[:], unused[:] = keys.missing_keys, keys.unexpected_keys

    handle = network.register_load_state_dict_post_hook(remember)
    load_state_dict(network, found, logger="silent")
    handle.remove()
    after = network.state_dict()
    other_shape = [
        f"{key} {tuple(found[key].shape)} for {tuple(tensor.shape)}"
        for key, tensor in before.items()
        if tensor.equal(after[key])
    ]
    fitted = fit_of_library(after, missing, other_shape, unused)
    say_fit(fitted, path, where, name, BACKBONE)
