"""Detectors of mmdet that learn nothing as background in an ignore region.

mmdet carries such regions up to its heads, and most of them pass over them: their assigners have
``ignore_iof_thr`` of -1 or do not look, FCOS has no assigner, YOLOX counts all that is unmatched.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import FCOSHead, YOLOXHead
from torch import Tensor

from recycling.backends.shared.ignore_regions import boxes_in, points_in

logger = logging.getLogger(__name__)

BY_ASSIGNER = frozenset(
    {
        "ATSSHead",
        "CascadeRoIHead",
        "BoxOnlyHybridTaskCascadeRoIHead",
        "EfficientDetHead",
        "HybridTaskCascadeRoIHead",
        "RPNHead",
        "RetinaHead",
        "SSDHead",
        "SSDHeadWithoutLossModule",
        "StandardRoIHead",
        "TOODHead",
    }
)
"""Heads that leave out what an assigner gives to neither an object (1 and up) nor to 0."""

BY_POINTS = frozenset(
    {"BoxOnlyRTMDetInsHead", "RTMDetHead", "RTMDetInsSepBNHead", "RTMDetSepBNHead"}
)
"""The same, where what is assigned are places: rows of x, y and twice the stride."""

ASSIGNERS = ("assigner", "initial_assigner", "alignment_assigner", "bbox_assigner")

LEFT_OUT = -1
"""What stands for neither an object nor the background, in mmdet's assigners and in its losses."""

NO_COST = -100.0
"""The score, before the sigmoid, of a class that is surely not there: no loss and no gradient."""


def leave_out_ignore_regions(network: Any, name: str) -> None:
    """Let a detector learn nothing as background in an ignore region.

    What lies there and is matched to an object is learnt as ever. The heads that cannot are named
    on one line.

    Args:
        network: A detector of mmdet; changed in place, its weights stay.
        name: What the model is called in messages.
    """
    cannot = [type(head).__name__ for head in _heads(network) if not _leave_out(head)]
    if cannot:
        logger.warning(
            "%s: %s learns what is unmatched in ignore regions as background; for a network that "
            "does not, take a recipe with one of %s",
            name,
            " and ".join(cannot),
            ", ".join(sorted({*BY_ASSIGNER, *BY_POINTS, "FCOSHead", "YOLOXHead"})),
        )


def _heads(network: Any) -> Iterator[Any]:
    """The heads that learn what is an object; a network that has none learns it by itself."""
    names = [name for name in ("rpn_head", "bbox_head", "roi_head") if _has(network, name)]
    yield from (getattr(network, name) for name in names)
    if not names:
        yield network


def _has(network: Any, name: str) -> bool:
    return getattr(network, name, None) is not None


def _leave_out(head: Any) -> bool:
    """Whether a head can; an attribute of the instance goes before the class's method."""
    if type(head) is FCOSHead:
        head.loss_by_feat = _fcos_loss(head)
    elif type(head) is YOLOXHead and type(head.loss_obj).__name__ == "CrossEntropyLoss":
        head._get_targets_single = _yolox_targets(head._get_targets_single)
    elif (name := type(head).__name__) in BY_ASSIGNER | BY_POINTS:
        inside = _places_in if name in BY_POINTS else boxes_in
        for assigner in {id(each): each for each in _assigners(head)}.values():
            assigner.assign = _assigned(assigner.assign, inside)
    else:
        return False
    return True


def _assigners(head: Any) -> Iterator[Any]:
    for name in ASSIGNERS:
        assigner = getattr(head, name, None)
        if isinstance(assigner, (list, tuple)):  # one for each stage
            yield from assigner
        elif assigner is not None:
            yield assigner


def _places_in(priors: Tensor, regions: Tensor) -> Tensor:
    return points_in(priors[:, :2], regions)


def _assigned(
    assign: Callable[..., Any], inside: Callable[[Tensor, Tensor], Tensor]
) -> Callable[..., Any]:
    """An assigner's method whose unmatched anchors, or proposals, in a region are left out."""
    signature = inspect.signature(assign)

    def assigned(*positional: Any, **named: Any) -> Any:
        given = signature.bind(*positional, **named).arguments
        result = assign(*positional, **named)
        regions = _regions(given.get("gt_instances_ignore"))
        if regions is not None:
            left_out = (result.gt_inds == 0) & inside(given["pred_instances"].priors, regions)
            result.gt_inds[left_out] = LEFT_OUT
        return result

    return assigned


def _yolox_targets(get_targets: Callable[..., Any]) -> Callable[..., Any]:
    """YOLOX's targets of one image; mmdet's cross-entropy leaves out what is below 0."""

    def targets(priors: Tensor, *rest: Any) -> Any:
        found = get_targets(priors, *rest)
        regions = _regions(rest[-1])
        if regions is not None:
            foreground, objectness = found[0], found[2]
            # (left, top, stride, stride): what a location looks at is around its centre.
            centres = priors[:, :2] + priors[:, 2:] / 2
            objectness[~foreground & points_in(centres, regions)] = LEFT_OUT
        return found

    return targets


def _fcos_loss(head: Any) -> Callable[..., Any]:
    """FCOS's losses, blind to what it says of the background in a region.

    Its loss of the classes takes no weights; a score that is constant has no gradient.
    """
    loss_by_feat = head.loss_by_feat

    def loss(
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        centernesses: Sequence[Tensor],
        batch_gt_instances: Any,
        batch_img_metas: Any,
        batch_gt_instances_ignore: Any = None,
    ) -> Any:
        regions = [_regions(instances) for instances in batch_gt_instances_ignore or ()]
        if any(each is not None for each in regions):
            cls_scores = _without_background(head, cls_scores, batch_gt_instances, regions)
        return loss_by_feat(
            cls_scores, bbox_preds, centernesses, batch_gt_instances, batch_img_metas
        )

    return loss


def _without_background(
    head: Any, scores: Sequence[Tensor], objects: Any, regions: Sequence[Tensor | None]
) -> list[Tensor]:
    """Scores, (B, C, H, W) a level, that are constant where background lies in a region."""
    points = head.prior_generator.grid_priors(
        [level.shape[-2:] for level in scores], dtype=torch.float32, device=scores[0].device
    )
    labels, _ = head.get_targets(points, objects)
    kept = []
    for level, of_level, labels_of_level in zip(scores, points, labels, strict=True):
        inside = torch.stack(
            [
                torch.zeros(len(of_level), dtype=torch.bool, device=level.device)
                if of_image is None
                else points_in(of_level, of_image)
                for of_image in regions
            ]
        )
        left_out = inside & (labels_of_level.view_as(inside) == head.num_classes)
        shape = (len(level), 1, *level.shape[-2:])
        kept.append(level.masked_fill(left_out.view(shape), NO_COST))
    return kept


def _regions(instances: Any) -> Tensor | None:
    """The boxes of an image's ignore regions, (K, 4), if there are any."""
    if instances is None or len(instances) == 0:
        return None
    boxes: Tensor = instances.bboxes
    return boxes
