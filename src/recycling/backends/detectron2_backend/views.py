"""The views of an image whose boxes are fused: test-time augmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from detectron2.data import transforms as T
from detectron2.layers import batched_nms
from detectron2.structures import Instances

from recycling.backends.detectron2_backend.records import naming_the_file, read_record
from recycling.backends.shared.model import Model
from recycling.backends.shared.settings import TestTimeAugmentation, scaled_side


class Views:
    """A mapper from a record to each view that a model asks for.

    Args:
        config: The resolved ``CfgNode``.
        model: The settings; without test-time augmentation there is one view, the image itself.
    """

    def __init__(self, config: Any, model: Model) -> None:
        asked = model.test_time_augmentation or TestTimeAugmentation()
        sides = [scaled_side(model.image_size, scale) for scale in dict.fromkeys(asked.scales)]
        self.image_format = config.INPUT.FORMAT
        self.resizes = [T.ResizeShortestEdge(side, side) for side in sides]
        self.flip = asked.flip

    def __call__(self, record: dict[str, Any]) -> list[dict[str, Any]]:
        """The views of one image."""
        with naming_the_file(record):
            image = read_record(record, self.image_format)
        resized = [resize.get_transform(image).apply_image(image) for resize in self.resizes]
        tensors = [torch.as_tensor(np.ascontiguousarray(one.transpose(2, 0, 1))) for one in resized]
        views = [{**record, "image": tensor, "flipped": False} for tensor in tensors]
        if self.flip:
            views += [{**view, "image": view["image"].flip(-1), "flipped": True} for view in views]
        return views


def fused(views: list[dict[str, Any]], outputs: list[Instances], config: Any) -> Instances:
    """One image's boxes of all views, the weaker of two that overlap left out.

    Overlap and number of boxes are those of the network's own last step.

    Args:
        views: What the network took.
        outputs: Its instances for each, in the pixels of the image.
        config: The resolved ``CfgNode``.
    """
    upright = [
        _mirrored(output) if view["flipped"] else output
        for view, output in zip(views, outputs, strict=True)
    ]
    if len(upright) == 1:
        return upright[0].to("cpu")
    every = Instances.cat([_boxes_only(output).to("cpu") for output in upright])
    one_stage = config.MODEL.META_ARCHITECTURE == "RetinaNet"
    head = config.MODEL.RETINANET if one_stage else config.MODEL.ROI_HEADS
    kept = batched_nms(
        every.pred_boxes.tensor, every.scores, every.pred_classes, head.NMS_THRESH_TEST
    )
    return every[kept[: config.TEST.DETECTIONS_PER_IMAGE]]


def _mirrored(instances: Instances) -> Instances:
    width = instances.image_size[1]
    left, top, right, bottom = instances.pred_boxes.tensor.unbind(1)
    instances.pred_boxes.tensor = torch.stack([width - right, top, width - left, bottom], 1)
    return instances


def _boxes_only(instances: Instances) -> Instances:
    fields = ("pred_boxes", "scores", "pred_classes")
    return Instances(instances.image_size, **{name: instances.get(name) for name in fields})
