"""Class activation maps by the library grad-cam, of the maps that a backbone or neck gives.

The maps pass through layers of this module, so that every backbone that gives maps is alike,
transformers too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.backends.core import BackendError
from recycling.backends.shared.activation_maps import Asked, Method

_CLASSES: dict[Method, str] = {
    "grad_cam": "GradCAM",
    "grad_cam_plus_plus": "GradCAMPlusPlus",
    "hires_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
    "eigen_cam": "EigenCAM",
}


def heat_of(
    module: Any, source: Any, score: Callable[[Any], Any], inputs: Any, method: Method, name: str
) -> NDArray[np.float32]:
    """Where a network looked.

    Args:
        module: The network; a ``torch.nn.Module``.
        source: The part of it whose output is looked at: a tensor, or some by level.
        score: How sure the network is of the prediction, of its inputs: one number.
        inputs: (1, 3, H, W), what it looks at.
        method: How it is found out.
        name: What the model is called in a message.

    Returns:
        (H, W), at most 1.

    Raises:
        BackendError: The network gives no maps, or the score depends on none.
    """
    import torch

    kind = getattr(importlib.import_module("pytorch_grad_cam"), _CLASSES[method])
    with _taps(source) as taps, torch.enable_grad():
        model = _scored(module, score)
        inputs = inputs.clone().requires_grad_(True)
        used = _looked_at(model(inputs), list(taps.values()), method, name)
        with kind(model=model, target_layers=used) as cam:
            heat = cam(input_tensor=inputs, targets=[lambda scored: scored.sum()])[0]
    return np.asarray(heat, dtype=np.float32)


def scaled_to_one(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with a greatest value of 1; all 0 stays so.

    >>> scaled_to_one(np.array([[0, 2]], dtype=np.float32)).tolist()
    [[0.0, 1.0]]
    """
    return heat / max(float(heat.max()), 1e-12)


def score_of_box(boxes: Any, labels: Any, scores: Any, asked: Asked) -> Any:
    """The score of the box that was asked about, or of the one that it is now.

    Args:
        boxes: (n, 4) tensor, pixels of the image.
        labels: (n,) tensor, class indices.
        scores: (n,) tensor.
        asked: The prediction.

    Raises:
        BackendError: No box of the class has half of its union with it.
    """
    from torchvision.ops import box_iou

    own = labels == asked.class_index
    if bool(own.any()):
        iou = box_iou(boxes[own].detach(), boxes.new_tensor([asked.box]))[:, 0]
        if float(iou.max()) >= 0.5:
            return scores[own][int(iou.argmax())]
    raise BackendError("the model, asked anew, does not predict that box; choose another")


def _looked_at(scored: Any, taps: list[Any], method: Method, name: str) -> list[Any]:
    """The layers whose maps the score depends on; of a method without gradients the last one."""
    import torch

    if not taps:
        raise BackendError(f"{name}: its backbone gives no maps to look at")
    if method == "eigen_cam":
        return taps[-1:]
    if not scored.requires_grad:
        raise BackendError(f"{name}: its head gives no gradients; choose eigen_cam")
    given = [tap.given for tap in taps]
    gradients = torch.autograd.grad(scored.sum(), given, allow_unused=True)
    used = [t for t, g in zip(taps, gradients, strict=True) if g is not None and bool(g.any())]
    if not used:
        raise BackendError(f"{name}: the score depends on no map; choose eigen_cam")
    return used


def _scored(module: Any, score: Callable[[Any], Any]) -> Any:
    """A network whose output is one number: how sure it is of the prediction."""
    import torch

    class Scored(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, inputs: Any) -> Any:
            return score(inputs).reshape(1, 1)

    return Scored()


@contextmanager
def _taps(source: Any) -> Iterator[dict[Any, Any]]:
    """Layers through which the maps pass that a part of the network gives, by level."""
    import torch

    class Tap(torch.nn.Module):
        """Gives the map that it gets, and keeps it."""

        given: Any = None

        def forward(self, features: Any) -> Any:
            self.given = features * 1.0
            return self.given

    taps: dict[Any, Any] = {}

    def tapped(level: Any, features: Any) -> Any:
        if not isinstance(features, torch.Tensor) or features.ndim != 4:
            return features
        return taps.setdefault(level, Tap())(features)

    def through(_: Any, __: Any, output: Any) -> Any:
        if isinstance(output, Mapping):
            return {level: tapped(level, each) for level, each in output.items()}
        if isinstance(output, tuple | list):
            return type(output)(tapped(level, each) for level, each in enumerate(output))
        return tapped(0, output)

    handle = source.register_forward_hook(through)
    try:
        yield taps
    finally:
        handle.remove()
