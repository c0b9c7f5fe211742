"""Class activation maps of detectors, of the maps that the backbone gives to the heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from recycling.backends.core import Images
from recycling.backends.detectron2_backend.checkpoint import Network
from recycling.backends.detectron2_backend.prediction import records_of
from recycling.backends.shared.activation_maps import ActivationMap, Asked, Method
from recycling.backends.shared.class_activation import heat_of, scaled_to_one, score_of_box


def activation_map(network: Network, images: Images, asked: Asked, method: Method) -> ActivationMap:
    """Where a detector looked for one box.

    Args:
        network: The network; it is left in the mode of evaluation.
        images: One image.
        asked: The box.
        method: How it is found out.

    Raises:
        BackendError: The image cannot be read, or the network does not predict that box.
    """
    from recycling.backends.detectron2_backend.views import Views

    module = network.module.eval()
    view = Views(network.config, network.trained.model)(records_of(images)[0])[0]
    pixels = view["image"].numpy().transpose(1, 2, 0)
    seen = pixels[..., ::-1] if network.config.INPUT.FORMAT == "BGR" else pixels

    def score(inputs: Any) -> Any:
        found = module([{**view, "image": inputs[0]}])[0]["instances"]
        return score_of_box(found.pred_boxes.tensor, found.pred_classes, found.scores, asked)

    name = f"model {network.trained.model.recipe!r}"
    heat = heat_of(module, module.backbone, score, view["image"][None].float(), method, name)
    return ActivationMap(np.ascontiguousarray(seen).astype(np.uint8), scaled_to_one(heat))
