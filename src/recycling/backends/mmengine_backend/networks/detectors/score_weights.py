"""Detectors of mmdet in which an object counts by its weight in the loss of the classes.

What a region proposal network and YOLOX say of there being an object at all counts as ever, and so
do the boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import YOLOXHead


def weigh_by_score(network: Any) -> None:
    """Let each object count by its weight, ``gt_instances.weights``.

    Args:
        network: A detector of mmdet whose head `settings.score_weights` knows; changed in place.
    """
    roi_head = getattr(network, "roi_head", None)
    if roi_head is not None:
        for sampler in _each(roi_head.bbox_sampler):
            sampler.sample = _sampled(sampler.sample)
        for head in _each(roi_head.bbox_head):
            head.get_targets = _proposals(head.get_targets)
        return
    head = network.bbox_head
    head.sampler.sample = _sampled(head.sampler.sample)
    if isinstance(head, YOLOXHead):
        _weigh_yolox(head)
    else:
        head._get_targets_single = _anchors(head._get_targets_single, head.num_classes)


def _each(one_or_more: Any) -> Any:
    several = isinstance(one_or_more, (list, tuple, torch.nn.ModuleList))
    return one_or_more if several else [one_or_more]


def _sampled(sample: Callable[..., Any]) -> Callable[..., Any]:
    """A sampler's method that says what the object of each positive weighs."""

    def sampled(assigned: Any, predicted: Any, objects: Any, *rest: Any, **settings: Any) -> Any:
        result = sample(assigned, predicted, objects, *rest, **settings)
        result.pos_weights = objects.weights[result.pos_assigned_gt_inds]
        return result

    return sampled


def _anchors(get_targets: Callable[..., Any], n_classes: int) -> Callable[..., Any]:
    """The targets of an image's anchors; positives are in the order in which they are sampled."""

    def targets(*arguments: Any, **settings: Any) -> Any:
        found = get_targets(*arguments, **settings)
        labels, weights, sampling = found[0], found[1], found[6]
        weights[(labels >= 0) & (labels < n_classes)] *= sampling.pos_weights
        return found

    return targets


def _proposals(get_targets: Callable[..., Any]) -> Callable[..., Any]:
    """The targets of a batch's proposals: of each image first those with an object."""

    def targets(sampled: Sequence[Any], *rest: Any, **settings: Any) -> Any:
        labels, weights, *boxes = get_targets(sampled, *rest, **settings)
        each = [
            torch.cat([image.pos_weights, image.pos_weights.new_ones(len(image.neg_inds))])
            for image in sampled
        ]
        return labels, weights * torch.cat(each), *boxes

    return targets


def _weigh_yolox(head: Any) -> None:
    """YOLOX's loss of the classes is of all positives of a batch, image by image."""
    weights: list[Any] = []
    sample, loss_by_feat, loss_cls = head.sampler.sample, head.loss_by_feat, head.loss_cls.forward

    def noted(*arguments: Any, **settings: Any) -> Any:
        result = sample(*arguments, **settings)
        weights.append(result.pos_weights)
        return result

    def of_batch(*arguments: Any, **settings: Any) -> Any:
        weights.clear()
        return loss_by_feat(*arguments, **settings)

    def weighed(scores: Any, targets: Any) -> Any:
        return loss_cls(scores, targets, weight=torch.cat(weights)[:, None].expand_as(scores))

    head.sampler.sample, head.loss_by_feat, head.loss_cls.forward = noted, of_batch, weighed
