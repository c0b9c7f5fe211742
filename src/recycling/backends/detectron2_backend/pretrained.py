"""Weights to start from: found or downloaded, checked, and read without running code in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.detectron2_backend.session import one_line
from recycling.backends.shared.model import Model
from recycling.backends.shared.weights import find_weights

ZOO = "detectron2://"


def find_start(model: Model, config: Any) -> Path | None:
    """The file that a training starts from, before its first step.

    The names in detectron2's zoo hold no sha256 that could be checked: give `pretrained_sha256`.

    Args:
        model: The settings.
        config: The resolved ``CfgNode``: the recipe's own weights.

    Raises:
        BackendError: There is no such file, or its sha256 is another one.
    """
    from detectron2.utils.file_io import Detectron2Handler

    if model.pretrained == "none":
        return None
    where = config.MODEL.WEIGHTS if model.pretrained == "default" else model.pretrained
    if where.startswith(ZOO):
        where = Detectron2Handler.S3_DETECTRON2_PREFIX + where.removeprefix(ZOO)
    return find_weights(where, model.pretrained_sha256)


def load_pretrained(network: Any, path: Path, name: str) -> None:
    """Put the weights in `path` into a network, but for layers of another shape (the classes').

    Args:
        network: Changed in place.
        path: A checkpoint of ours, or a file of detectron2's zoo.
        name: What the model is called in a message.

    Raises:
        BackendError: The file cannot be read, or neither the backbone's weights nor half of the
            network's are in it: it is another model's.
    """
    from detectron2.checkpoint import DetectionCheckpointer

    class Checkpointer(DetectionCheckpointer):  # type: ignore[misc]
        """The library's, which would run the code in a file."""

        def _load_file(self, filename: str) -> Any:
            return read_weights(Path(filename))

        def _load_model(self, checkpoint: Any) -> Any:
            found = super()._load_model(checkpoint)
            missing.update(found.missing_keys)
            return found

    missing: set[str] = set()
    try:
        Checkpointer(network).load(str(path))
    except BackendError:
        raise
    except Exception as error:  # whatever a file without weights does to the library
        raise BackendError(f"{name}: pretrained {path}: {one_line(error)}") from error
    # Counters of batches, whole numbers, say nothing about whose weights they are.
    own = {key for key, tensor in network.state_dict().items() if tensor.is_floating_point()}
    backbone = {key for key in own if key.startswith("backbone.bottom_up.")}
    fitting = own - missing
    if 2 * len(fitting) < len(own) and not (backbone and backbone <= fitting):
        raise BackendError(
            f"{name}: pretrained {path}: only {len(fitting)} of the network's {len(own)} weights "
            "fit; it belongs to another model"
        )


def read_weights(path: Path) -> dict[str, Any]:
    """What a file of weights holds, as the library's checkpointer takes it; no code in it is run.

    Args:
        path: ``.pkl``, detectron2's own and Caffe2's form, or torch's.

    Raises:
        BackendError: The file cannot be read, or holds more than arrays.
    """
    import torch

    try:
        if path.suffix != ".pkl":
            content = torch.load(path, map_location="cpu", weights_only=True)
            return content if "model" in content else {"model": content}
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="latin1").load()
        if "model" in content and "__author__" in content:
            return dict(content)
        arrays = content.get("blobs", content)
    except (
        OSError,
        EOFError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise BackendError(
            f"pretrained: {path}: {reason or 'not a file of plain arrays'}; it is not loaded"
        ) from error
    named = {key: value for key, value in arrays.items() if not key.endswith("_momentum")}
    return {"model": named, "__author__": "Caffe2", "matching_heuristics": True}


class _ArraysOnly(pickle.Unpickler):
    """Knows numpy's arrays and no other class or function."""

    KNOWN = frozenset(
        {
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("_codecs", "encode"),  # bytes, as Python 3 writes them for Python 2
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
