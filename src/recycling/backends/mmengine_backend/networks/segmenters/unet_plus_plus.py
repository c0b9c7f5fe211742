"""UNet++: a U-Net whose skips are convolutions, too."""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class UNetPlusPlus(BaseModule):  # type: ignore[misc]
    """UNet++ (Zhou et al., 2018, arXiv 1807.10165).

    Node ``(i, j)`` is at level i (``2^i`` times smaller than the image). ``(i, 0)`` is the
    encoder; for j > 0 it sees all nodes before it on its level and the node ``(i + 1, j - 1)``
    below, enlarged (equation 1 of the paper). Any of the top level's nodes can be segmented from;
    a loss on each of them is the paper's deep supervision.

    Args:
        in_channels: Channels of an image.
        base_channels: Channels of the top level; each level has twice those above it. 32 in the
            paper.
        num_stages: Levels; 5 in the paper.
        norm_cfg: The normalisation after each convolution; None, as in the paper, has none.
        init_cfg: How to initialise; see mmengine.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 32,
        num_stages: int = 5,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        channels = [base_channels * 2**level for level in range(num_stages)]
        self.num_stages = num_stages
        # Rounding up, so that an enlarged map is never smaller than its neighbours.
        self.shrink = nn.MaxPool2d(2, ceil_mode=True)
        self.nodes = nn.ModuleDict()
        self.enlarge = nn.ModuleDict()
        for level, width in enumerate(channels):
            above = channels[level - 1] if level else in_channels
            self.nodes[f"{level}_0"] = two_convolutions(above, width, norm_cfg)
            for column in range(1, num_stages - level):
                name = f"{level}_{column}"
                self.enlarge[name] = nn.ConvTranspose2d(channels[level + 1], width, 2, stride=2)
                self.nodes[name] = two_convolutions((column + 1) * width, width, norm_cfg)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The top level's nodes behind the encoder.

        Args:
            images: (B, ``in_channels``, H, W).

        Returns:
            Nodes (0, 1), (0, 2), ...: ``num_stages - 1`` maps (B, ``base_channels``, H, W).
        """
        # Each level's nodes so far, from the top.
        levels: list[list[Tensor]] = []
        for level in range(self.num_stages):
            below = self.shrink(levels[-1][0]) if levels else images
            levels.append([self.nodes[f"{level}_0"](below)])
        for column in range(1, self.num_stages):
            for level in range(self.num_stages - column):
                name = f"{level}_{column}"
                height, width = levels[level][0].shape[-2:]
                enlarged = self.enlarge[name](levels[level + 1][column - 1])
                seen = [*levels[level], enlarged[..., :height, :width]]
                levels[level].append(self.nodes[name](torch.cat(seen, dim=1)))
        return tuple(levels[0][1:])


def two_convolutions(
    in_channels: int, out_channels: int, norm_cfg: dict[str, Any] | None
) -> nn.Sequential:
    """Two convolutions of three by three, each with its normalisation and a ReLU.

    Args:
        in_channels: Channels of what comes in.
        out_channels: Channels behind each of them.
        norm_cfg: The normalisation; None has none.
    """
    return nn.Sequential(
        ConvModule(in_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg),
        ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg),
    )
