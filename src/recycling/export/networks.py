"""Networks of mmpretrain, mmdet and mmseg as functions of tensors, which ONNX can hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """A classifier of mmpretrain: a batch in, probabilities out."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """From (N, 3, side, side) to (N, classes), summing to 1."""
        logits: Tensor = self.network(images, mode="tensor")
        return logits.softmax(dim=1)


class Segmenter(nn.Module):
    """A segmenter of mmseg: a batch in, a plane a class out, as large as the input."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """From (N, 3, side, side) to (N, classes, side, side)."""
        meta = {"img_shape": tuple(images.shape[2:])}
        features = self.network.extract_feat(images)
        planes: Tensor = self.network.decode_head.predict(features, [meta], self.network.test_cfg)
        return planes


class Yolox(nn.Module):
    """YOLOX of mmdet up to its suppression: each place proposes a box, of its likeliest class."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and their scores; 0 where a box is not proposed for a class.

        Args:
            images: (N, 3, H, W).
            size: Height and width of the images without their padding, which it does not look at.

        Returns:
            (N, places, 4) and (N, classes, places).
        """
        head = self.network.bbox_head
        logits, deltas, objectness = head(self.network.extract_feat(images))
        sides = [level.shape[2:] for level in logits]
        places = torch.cat(
            head.prior_generator.grid_priors(
                sides, dtype=images.dtype, device=images.device, with_stride=True
            )
        )
        boxes = head._bbox_decode(places, _flat(deltas, 4))
        # An input that nothing uses is left out of the graph.
        boxes = boxes + 0 * size.sum()
        of_class = _flat(logits, head.cls_out_channels).sigmoid()
        best, label = of_class.max(dim=2)
        scores = best * _flat(objectness, 1).sigmoid().squeeze(2)
        labels = torch.arange(head.cls_out_channels, device=images.device)[:, None]
        return boxes, torch.where(label[:, None] == labels, scores[:, None], 0.0)


class OneStage(nn.Module):
    """A dense detector of mmdet (RetinaNet, FCOS, ATSS, SSD, RTMDet) up to its suppression."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and their scores; 0 where a box is not proposed for a class.

        The steps are those of mmdet's ``BaseDenseHead.predict_by_feat``: of each level the best
        ``nms_pre`` above ``score_thr``, then scores by centerness, where the head has it.

        Args:
            images: (N, 3, H, W).
            size: Height and width of the images without their padding: boxes end there.

        Returns:
            (N, places, 4) and (N, classes, places).
        """
        head, settings = self.network.bbox_head, self.network.test_cfg
        logits, deltas, *factors = head(self.network.extract_feat(images))
        sides = [level.shape[2:] for level in logits]
        priors = head.prior_generator.grid_priors(sides, dtype=images.dtype, device=images.device)
        boxes, scores = [], []
        for level, (own, delta) in enumerate(zip(logits, deltas, strict=True)):
            of_class = _activated(_flat([own], head.cls_out_channels), head)
            of_class = _best(of_class, settings.get("score_thr", 0), settings.get("nms_pre", -1))
            # One is centerness; heads of instances give kernels and features of masks.
            if len(factors) == 1:
                of_class = of_class * _flat([factors[0][level]], 1).sigmoid()
            moves = _flat([delta], 4)
            places = priors[level].expand(moves.shape[0], -1, -1)
            decoded = head.bbox_coder.decode(
                places.reshape(-1, places.shape[-1]), moves.reshape(-1, 4)
            )
            boxes.append(decoded.reshape(moves.shape))
            scores.append(of_class)
        found = _inside(torch.cat(boxes, dim=1), size)
        of_class = torch.cat(scores, dim=1)
        least = settings.get("min_bbox_size", -1)
        if least >= 0:
            wide = (found[..., 2:] - found[..., :2] > least).all(dim=2, keepdim=True)
            of_class = torch.where(wide, of_class, 0.0)
        return found, of_class.transpose(1, 2)


class Queries(nn.Module):
    """D-FINE up to the boxes that are given: none of them is suppressed."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and their scores; 0 where a box is not among the surest of all classes.

        Args:
            images: (N, 3, side, side).
            size: Height and width of the images without their padding: boxes end there.

        Returns:
            (N, queries, 4) and (N, classes, queries).
        """
        settings = self.network.test_cfg
        boxes, scores = self.network.boxes_and_scores(images)
        scores = _best(scores, settings.score_thr, settings.max_per_img)
        return _inside(boxes, size), scores.transpose(1, 2)


def _flat(levels: Any, width: int) -> Tensor:
    """Levels of a pyramid, each (N, places x width, H, W), as (N, all places, width)."""
    flat = [each.permute(0, 2, 3, 1).reshape(each.shape[0], -1, width) for each in levels]
    return torch.cat(flat, dim=1)


def _activated(logits: Tensor, head: Any) -> Tensor:
    if head.use_sigmoid_cls:
        return logits.sigmoid()
    return logits.softmax(dim=-1)[..., :-1]


def _best(scores: Tensor, threshold: float, most: int) -> Tensor:
    """Scores, (N, places, classes), with 0 for those that are not among the best."""
    scores = torch.where(scores > threshold, scores, 0.0)
    if most < 0:
        return scores
    flat = scores.flatten(start_dim=1)
    # Tracing would keep the number of places of the image that it saw.
    n: Any = torch.minimum(torch.tensor(most), torch.as_tensor(flat.shape[1]))
    values, places = flat.topk(n)
    return torch.zeros_like(flat).scatter(1, places, values).reshape(scores.shape)


def _inside(boxes: Tensor, size: Tensor) -> Tensor:
    """Boxes that end where the image does."""
    ends = torch.stack([size[1], size[0], size[1], size[0]])
    return torch.minimum(boxes.clamp(min=0), ends)
