"""Detectors of detectron2 that learn nothing as background in an ignore region.

detectron2 leaves crowds out of the objects, and learns what is there as background.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from recycling.backends.shared.ignore_regions import boxes_in

LEFT_OUT = -1
"""What stands for neither an object nor the background among labels of anchors."""


def leave_out_ignore_regions(network: Any) -> None:
    """Let a detector learn nothing as background in an ignore region.

    Its samples have ``ignore_regions``, (K, 4) in pixels of the network's input. What lies there
    and is matched to an object is learnt as ever.

    Args:
        network: A detector of detectron2; changed in place, its weights stay.
    """
    from detectron2.modeling.meta_arch.retinanet import RetinaNet
    from detectron2.modeling.proposal_generator import RPN
    from detectron2.modeling.roi_heads import CascadeROIHeads, ROIHeads

    regions: list[Any] = []  # of the batch

    def note(network: Any, inputs: Any) -> None:
        if network.training:
            regions[:] = [sample["ignore_regions"].to(network.device) for sample in inputs[0]]

    network.register_forward_pre_hook(note)
    # An attribute of the instance goes before the class's method, and the state dict stays.
    if isinstance(network, RetinaNet):
        network.label_anchors = _anchors(network.label_anchors, regions, network.num_classes)
    for module in network.modules():
        if isinstance(module, RPN):
            module.label_and_sample_anchors = _anchors(
                module.label_and_sample_anchors, regions, background=0
            )
        if isinstance(module, ROIHeads):
            module.label_and_sample_proposals = _proposals(
                module.label_and_sample_proposals, regions, module.num_classes
            )
        if isinstance(module, CascadeROIHeads):
            module._match_and_label_boxes = _proposals(
                module._match_and_label_boxes, regions, module.num_classes
            )


def _anchors(
    label: Callable[..., Any], regions: Sequence[Any], background: int
) -> Callable[..., Any]:
    """The labels of anchors, without the background in regions."""

    def labeled(anchors: Any, objects: Any) -> Any:
        from detectron2.structures import Boxes

        labels, boxes = label(anchors, objects)
        every = Boxes.cat(anchors).tensor
        for of_image, of_regions in zip(labels, regions, strict=True):
            if len(of_regions):
                of_image[(of_image == background) & boxes_in(every, of_regions)] = LEFT_OUT
        return labels, boxes

    return labeled


def _proposals(
    label: Callable[..., Any], regions: Sequence[Any], background: int
) -> Callable[..., Any]:
    """The proposals with their labels, without those of the background in regions."""

    def labeled(*arguments: Any) -> Any:
        return [
            proposals[
                (proposals.gt_classes != background)
                | ~boxes_in(proposals.proposal_boxes.tensor, of_regions)
            ]
            if len(of_regions)
            else proposals
            for proposals, of_regions in zip(label(*arguments), regions, strict=True)
        ]

    return labeled
