"""Class activation maps of classifiers, detectors and segmenters.

The maps that are looked at are those that the backbone gives to the head, or the neck where there
is one.
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
from recycling.backends.shared.class_activation import heat_of, scaled_to_one, score_of_box


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
    from mmengine.dataset import pseudo_collate

    module, view = network.module, network.views[0]
    is_classifier = network.trained.model.task == "cls"
    rows = crop_rows(images) if is_classifier else image_rows(images)
    packed = pseudo_collate([view.pipeline(rows.to_dict("records")[0])])
    seen = _rgb(packed["inputs"][0])
    data = module.data_preprocessor(packed, False)
    said = {"cls": _class_score, "det": _box_score, "seg": _pixel_score}
    score = said[network.trained.model.task](module, data["data_samples"], asked)
    name = f"model {network.trained.model.recipe!r}"
    with _attached(network), session.silence():
        heat = heat_of(module, _source(module), score, data["inputs"], method, name)
    height, width = seen.shape[:2]
    return ActivationMap(seen, scaled_to_one(heat[:height, :width]))  # without padding


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


def _source(module: Any) -> Any:
    """What gives the head its maps: the neck, where it gives some, or the backbone."""
    has_neck = getattr(module, "neck", None) is not None and _gives_maps(module)
    return module.neck if has_neck else module.backbone


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
        found = module.predict(inputs, samples, rescale=True)[0].pred_instances
        height, width = samples[0].ori_shape
        limits = found.bboxes.new_tensor([width, height, width, height])
        boxes = found.bboxes.clamp_min(0).minimum(limits)
        return score_of_box(boxes, found.labels, found.scores, asked)

    return score


def _pixel_score(module: Any, samples: Any, asked: Asked) -> Callable[[Any], Any]:
    """How sure it is of the pixels of a box that it gives the class."""
    metas = [sample.metainfo for sample in samples]
    of_image = np.array(metas[0]["ori_shape"][:2], dtype=np.float64)
    resized = np.array(metas[0]["img_shape"][:2], dtype=np.float64)
    corners = np.reshape(asked.box, (2, 2))[:, ::-1] / of_image * resized
    (top, left), (bottom, right) = np.floor(corners[0]).astype(int), np.ceil(corners[1]).astype(int)

    def score(inputs: Any) -> Any:
        import torch

        # Of the network's input, which is the resized image with a border on the right and below.
        logits = module.inference(inputs, metas)
        shape = inputs.shape[-2:]
        logits = torch.nn.functional.interpolate(logits, shape, mode="bilinear")[0]
        window = logits[:, top : max(bottom, top + 1), left : max(right, left + 1)]
        is_own = window.argmax(dim=0) == asked.class_index + 1  # 0 is background
        if not bool(is_own.any()):
            raise BackendError("the model, asked anew, does not give these pixels that class")
        return window[asked.class_index + 1][is_own].mean()

    return score
