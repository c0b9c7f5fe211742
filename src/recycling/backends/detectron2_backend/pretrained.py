"""Weights to start from: found or downloaded, checked, and read without running code in them."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared.model import Model
from recycling.backends.shared.weight_files import read_state
from recycling.backends.shared.weight_layouts import Fit, check_fit, fit, say_fit
from recycling.backends.shared.weights import find_weights
from recycling.errors import one_line

logger = logging.getLogger(__name__)

ZOO = "detectron2://"
BACKBONE = "backbone.bottom_up."


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
        path: A checkpoint of ours, a file of detectron2's zoo, or one that others wrote.
        name: What the model is called in a message.

    Raises:
        BackendError: The file cannot be read, or neither the backbone's weights nor half of the
            network's are in it: it is another model's.
    """
    where = ""
    if path.suffix == ".pkl":
        fitted = _load_from_zoo(network, path, name)
        check_fit(fitted, path, name, BACKBONE)
    else:
        found, where = read_state(path)
        fitted = fit(network.state_dict(), found)
        check_fit(fitted, path, name, BACKBONE)
        network.load_state_dict(fitted.weights, strict=False)
    say_fit(fitted, path, where, name, BACKBONE)
    if "torchvision" in fitted.how:
        _warn_of_strides(network, name)


def _load_from_zoo(network: Any, path: Path, name: str) -> Fit:
    """Let the library load a file of its own, or of Caffe2's, whose names it matches."""
    from detectron2.checkpoint import DetectionCheckpointer

    class Checkpointer(DetectionCheckpointer):  # type: ignore[misc]
        """The library's, which would run the code in a file."""

        def _load_file(self, filename: str) -> Any:
            return read_arrays(Path(filename))

        def _load_model(self, checkpoint: Any) -> Any:
            loaded.append(super()._load_model(checkpoint))
            return loaded[-1]

    loaded: list[Any] = []
    try:
        Checkpointer(network).load(str(path))
    except BackendError:
        raise
    except Exception as error:  # whatever a file without weights does to the library
        raise BackendError(f"{name}: pretrained {path}: {one_line(error)}") from error
    # Counters of batches, whole numbers, say nothing about whose weights they are.
    own = {key for key, tensor in network.state_dict().items() if tensor.is_floating_point()}
    lacking = own & {key for found in loaded for key in found.missing_keys}
    return Fit(
        weights=dict.fromkeys(own - lacking),
        how="as detectron2 matches names",
        missing=tuple(sorted(lacking)),
        other_shape=(),
        unused=tuple(sorted(key for found in loaded for key in found.unexpected_keys)),
        n_own=len(own),
    )


def _warn_of_strides(network: Any, name: str) -> None:
    """Warn where torchvision's weights are of a network that strides elsewhere."""
    for key, module in network.named_modules():
        if key.endswith("res3.0") and hasattr(module, "conv3") and module.conv1.stride != (1, 1):
            logger.warning(
                "%s: torchvision's ResNet strides in its 3 x 3 convolutions and was trained on RGB "
                "images; set options: {MODEL.RESNETS.STRIDE_IN_1X1: false} and INPUT.FORMAT, "
                "MODEL.PIXEL_MEAN and MODEL.PIXEL_STD to match",
                name,
            )


def read_arrays(path: Path) -> dict[str, Any]:
    """What a file of weights holds, as the library's checkpointer takes it; no code in it is run.

    Args:
        path: ``.pkl``, detectron2's own or Caffe2's form.

    Raises:
        BackendError: The file cannot be read, or holds more than arrays.
    """
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="latin1").load()
        if "model" in content and "__author__" in content:
            return dict(content)
        arrays = content.get("blobs", content)
    except (
        OSError,
        EOFError,
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
