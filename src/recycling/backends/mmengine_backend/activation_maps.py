"""Class activation maps of classifiers, detectors and segmenters, by the library grad-cam.

The maps that are looked at are those that the backbone gives to the head, or the neck where there
is one. They pass through layers of this module, so that every backbone that gives maps is alike,
transformers too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.backends.core import BackendError, Images
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.network import Network
from recycling.backends.mmengine_backend.prediction import crop_rows, image_rows
from recycling.backends.mmengine_backend.replaced import replaced
from recycling.backends.shared.activation_maps import ActivationMap, Asked, Method

_CLASSES: dict[Method, str] = {
    "grad_cam": "GradCAM",
    "grad_cam_plus_plus": "GradCAMPlusPlus",
    "hires_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
    "eigen_cam": "EigenCAM",
}


def activation_map(network: Network, images: Images, asked: Asked, method: Method) -> ActivationMap:
    """Where a network looked for one prediction.

    Args:
        network: The network.
        images: One image, for a classifier with one crop.
        asked: The prediction.
        method: How it is found out.

    Raises:
        BackendError: The network gives no maps, or does not predict what is asked for.
    """
    import torch
    from mmengine.dataset import pseudo_collate

    module, view = network.module, network.views[0]
    is_classifier = network.trained.model.task == "cls"
    rows = crop_rows(images) if is_classifier else image_rows(images)
    packed = pseudo_collate([view.pipeline(rows.to_dict("records")[0])])
    seen = _rgb(packed["inputs"][0])
    data = module.data_preprocessor(packed, False)
    said = {"cls": _class_score, "det": _box_score, "seg": _pixel_score}
    score = said[network.trained.model.task](module, data["data_samples"], asked)
    kind = getattr(importlib.import_module("pytorch_grad_cam"), _CLASSES[method])
    name = f"model {network.trained.model.recipe!r}"
    with _taps(module) as taps, _attached(network), torch.enable_grad(), session.silence():
        model = _Scored(module, score)
        inputs = data["inputs"].clone().requires_grad_(True)
        used = _looked_at(model(inputs), list(taps.values()), method, name)
        with kind(model=model, target_layers=used) as cam:
            heat = cam(input_tensor=inputs, targets=[lambda scored: scored.sum()])[0]
    height, width = seen.shape[:2]
    scaled = np.asarray(heat[:height, :width], dtype=np.float32)  # without padding
    return ActivationMap(seen, scaled / max(float(scaled.max()), 1e-12))


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


@contextmanager
def _attached(network: Network) -> Iterator[None]:
    """Mmdet's dense heads detach what they predict by: here gradients go through."""
    if network.trained.model.task != "det":
        yield
        return
    heads = importlib.import_module("mmdet.models.dense_heads.base_dense_head")
    select = heads.select_single_mlvl

    def attached(tensors: Any, image: int, detach: bool = False) -> Any:
        return select(tensors, image, detach=False)

    with replaced(heads, "select_single_mlvl", attached):
        yield


def _rgb(inputs: Any) -> NDArray[np.uint8]:
    """What a pipeline gives, (3, H, W) BGR, as an image."""
    return np.ascontiguousarray(inputs.numpy().transpose(1, 2, 0)[..., ::-1]).astype(np.uint8)


def _Scored(module: Any, score: Callable[[Any], Any]) -> Any:  # noqa: N802
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
def _taps(module: Any) -> Iterator[dict[int, Any]]:
    """Layers through which the maps pass that the head gets, by level."""
    import torch

    class Tap(torch.nn.Module):
        """Gives the map that it gets, and keeps it."""

        given: Any = None

        def forward(self, features: Any) -> Any:
            self.given = features * 1.0
            return self.given

    taps: dict[int, Any] = {}

    def tapped(level: int, features: Any) -> Any:
        if not isinstance(features, torch.Tensor) or features.ndim != 4:
            return features
        return taps.setdefault(level, Tap())(features)

    def through(_: Any, __: Any, output: Any) -> Any:
        if isinstance(output, tuple | list):
            return type(output)(tapped(level, each) for level, each in enumerate(output))
        return tapped(0, output)

    has_neck = getattr(module, "neck", None) is not None and _gives_maps(module)
    handle = (module.neck if has_neck else module.backbone).register_forward_hook(through)
    try:
        yield taps
    finally:
        handle.remove()


def _gives_maps(module: Any) -> bool:
    """Whether a neck gives maps: those of classifiers pool them."""
    return type(module.neck).__name__ not in ("GlobalAveragePooling", "HRFuseScales")


def _class_score(module: Any, samples: Any, asked: Asked) -> Callable[[Any], Any]:
    def score(inputs: Any) -> Any:
        found = module.predict(inputs, samples)[0].pred_score
        return found[asked.class_index].clamp_min(1e-12).log()

    return score


def _box_score(module: Any, samples: Any, asked: Asked) -> Callable[[Any], Any]:
    def score(inputs: Any) -> Any:
        from torchvision.ops import box_iou

        found = module.predict(inputs, samples, rescale=True)[0].pred_instances
        own = found.labels == asked.class_index
        height, width = samples[0].ori_shape
        limits = found.bboxes.new_tensor([width, height, width, height])
        boxes = found.bboxes[own].clamp_min(0).minimum(limits)
        if len(boxes):
            iou = box_iou(boxes.detach(), boxes.new_tensor([asked.box]))[:, 0]
            if float(iou.max()) >= 0.5:
                return found.scores[own][int(iou.argmax())]
        raise BackendError("the model, asked anew, does not predict that box; choose another")

    return score


def _pixel_score(module: Any, samples: Any, asked: Asked) -> Callable[[Any], Any]:
    """How sure it is of the pixels of a box that it gives the class."""
    metas = [sample.metainfo for sample in samples]
    of_image = np.array(metas[0]["ori_shape"][:2], dtype=np.float64)
    of_input = np.array(metas[0]["img_shape"][:2], dtype=np.float64)
    corners = np.reshape(asked.box, (2, 2))[:, ::-1] / of_image * of_input
    (top, left), (bottom, right) = np.floor(corners[0]).astype(int), np.ceil(corners[1]).astype(int)

    def score(inputs: Any) -> Any:
        import torch

        logits = module.inference(inputs, metas)
        # Those of whole images come in the size of the image, or of the network's input.
        shape = [int(side) for side in of_input]
        logits = torch.nn.functional.interpolate(logits, shape, mode="bilinear")[0]
        window = logits[:, top : max(bottom, top + 1), left : max(right, left + 1)]
        is_own = window.argmax(dim=0) == asked.class_index + 1  # 0 is background
        if not bool(is_own.any()):
            raise BackendError("the model, asked anew, does not give these pixels that class")
        return window[asked.class_index + 1][is_own].mean()

    return score
