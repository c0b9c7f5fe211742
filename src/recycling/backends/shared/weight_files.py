"""The state dict in a file of weights, whoever wrote it; no code in the file is run."""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared.checkpoint_folder import WEIGHTS
from recycling.backends.shared.failing_step import is_out_of_memory

CONTAINERS = (
    "state_dict",  # OpenMMLab's, Lightning's, timm's
    "model",  # detectron2's, and most of Facebook's
    "model_state_dict",
    "state_dict_ema",  # timm's averages
    "ema_state_dict",  # OpenMMLab's
    "model_ema",
    "ema",
    "network",
    "net",
    "teacher",
)
"""Under which names state dicts lie in files; the first that is there is taken."""


def read_state(
    path: Path, device: Any = "cpu", known: Sequence[Any] = ()
) -> tuple[dict[str, Any], str]:
    """The state dict in a file, or in a checkpoint's folder.

    Args:
        path: Of torch's ``save``, or ``.safetensors``.
        device: What torch calls ``map_location``.
        known: Further classes that the file may hold.

    Returns:
        Tensors by name, and where in the file they were: ``'ema_state_dict'``; empty where the
        file holds nothing else.

    Raises:
        BackendError: There is none, or the file holds more than tensors.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if file.suffix == ".safetensors":
        return _safetensors(file), ""
    state, names = _content(file, device, known), []
    while isinstance(state, dict) and not _tensors(state):
        inside = [name for name in CONTAINERS if isinstance(state.get(name), dict)]
        if not inside:
            break
        names.append(inside[0])
        state = state[inside[0]]
    tensors = _tensors(state) if isinstance(state, dict) else {}
    if not tensors:
        keys = (
            ", ".join(str(key)[:50] for key in list(state)[:5]) if isinstance(state, dict) else ""
        )
        held = keys or f"a {type(state).__name__}"
        raise BackendError(
            f"{file}: no state dict of tensors in it: it holds {held}; it is not loaded: save one "
            "with torch.save(network.state_dict(), FILE)"
        )
    return tensors, ".".join(names)


def _tensors(state: dict[Any, Any]) -> dict[str, Any]:
    """The tensors of a mapping in which nothing else is nested."""
    import torch

    if any(isinstance(value, dict) for value in state.values()):
        return {}
    return {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _content(file: Path, device: Any, known: Sequence[Any]) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals(list(known)):
            return torch.load(file, map_location=device, weights_only=True)
    except OSError as error:
        raise BackendError(f"{file}: {error.strerror or error}; check the path") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        reason = _reason(file, str(error))
        raise BackendError(f"{file}: not a file of plain tensors: {reason}") from error


def _reason(file: Path, message: str) -> str:
    """Why torch could not read a file, and what to do."""
    with file.open("rb") as opened:
        begins = opened.read(64).lstrip()
    again = "save the state dict alone: torch.save(network.state_dict(), FILE)"
    if begins.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; get the file itself: git lfs pull"
    if begins.startswith(b"<"):
        return "it is a page of HTML or XML; download the file itself"
    if not begins:
        return "it is empty; get it again"
    if "TorchScript" in message:
        return f"it is a TorchScript archive; {again}"
    if found := re.search(r"GLOBAL ([\w.]+)", message):
        return (
            f"it holds an object of {found[1]}, which only code can make; it is not loaded: {again}"
        )
    if begins.startswith(b"PK"):
        return "it is cut off or damaged; it is not loaded: get it again"
    return "it is not loaded: give one that torch.save wrote, or .safetensors"


def _safetensors(file: Path) -> dict[str, Any]:
    try:
        safetensors, in_torch = (import_module(f"safetensors{part}") for part in ("", ".torch"))
    except ImportError as error:
        raise BackendError(f"{file}: needs safetensors; pip install safetensors") from error
    try:
        return dict(in_torch.load_file(file))
    except (OSError, safetensors.SafetensorError) as error:
        raise BackendError(f"{file}: cannot be read: {error}; get it again") from error
