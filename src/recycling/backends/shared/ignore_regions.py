"""Regions of an image where nothing is learnt as background: crowds, and what is unsure.

They are annotations with `iscrowd`. Whatever a detector looks at there (a location, an anchor, a
proposal) still learns from the object that it is matched to; unmatched, it is left out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recycling.backends.core import TrainingData
from recycling.errors import listed

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


def count_ignore_regions(data: TrainingData) -> int:
    """How many regions of the training images are marked to be ignored."""
    return sum(int(part.annotations.annotations["iscrowd"].sum()) for part in data.train)


def say_ignore_regions(name: str, data: TrainingData) -> None:
    """Say on one line that there are regions where nothing is learnt as background, and where.

    Args:
        name: What the model is called in messages.
        data: What is trained on.
    """
    files: list[str] = []
    for part in data.train:
        table = part.annotations.annotations
        marked = table.loc[table["iscrowd"].astype(bool), "image_id"]
        images = part.annotations.images
        files += images.loc[images["image_id"].isin(marked), "file_name"].tolist()
    if files:
        logger.info(
            "%s: nothing is learnt as background in %d ignore regions (crowds, or what is unsure) "
            "on %d images: %s",
            name,
            count_ignore_regions(data),
            len(files),
            listed(files),
        )


def points_in(points: Tensor, regions: Tensor) -> Tensor:
    """Which points lie in a region.

    Args:
        points: (N, 2), x and y in pixels.
        regions: (K, 4) boxes in the same pixels.

    Returns:
        (N,) bool.

    >>> import torch
    >>> points_in(torch.tensor([[5.0, 5.0], [20.0, 5.0]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
    tensor([ True, False])
    """
    after = points[:, None] >= regions[None, :, :2]
    before = points[:, None] <= regions[None, :, 2:]
    return (after & before).all(dim=2).any(dim=1)


def boxes_in(boxes: Tensor, regions: Tensor) -> Tensor:
    """Which boxes lie in a region, with their centre or with more than half of their area.

    A small region may be all that an anchor has in its middle; a large one may hold most of a
    proposal whose centre is just outside.

    Args:
        boxes: (N, 4) anchors or proposals, pixels.
        regions: (K, 4) boxes in the same pixels.

    Returns:
        (N,) bool.

    >>> import torch
    >>> boxes = torch.tensor([[0.0, 0.0, 30.0, 4.0], [-9.0, 0.0, 11.0, 10.0], [-90.0, 0, 99, 9]])
    >>> boxes_in(boxes, torch.tensor([[0.0, 0.0, 14.0, 10.0]]))
    tensor([False,  True,  True])
    """
    first = boxes[:, None, :2].maximum(regions[None, :, :2])
    last = boxes[:, None, 2:].minimum(regions[None, :, 2:])
    inside = (last - first).clamp(min=0).prod(dim=2)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
    mostly = (inside > 0.5 * area[:, None]).any(dim=1)
    return mostly | points_in((boxes[:, :2] + boxes[:, 2:]) / 2, regions)
