"""Decoders of U-Net and UNet++ behind an encoder that was made for something else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import interpolate

from recycling.backends.mmengine_backend.networks.segmenters.unet_plus_plus import (
    two_convolutions,
)

WIDTHS = (256, 128, 64, 32, 16)
"""Channels after each doubling of the size; those of segmentation_models_pytorch."""


class _DoublingHead(BaseDecodeHead):  # type: ignore[misc]
    """What both decoders begin and end with."""

    def __init__(
        self, in_channels: Sequence[int], widths: Sequence[int] = WIDTHS, **settings: Any
    ) -> None:
        super().__init__(
            in_channels=list(in_channels),
            in_index=list(range(len(in_channels))),
            channels=widths[-1],
            input_transform="multiple_select",
            **settings,
        )
        self.conv_seg = nn.Conv2d(widths[-1], self.out_channels, 3, padding=1)


@MODELS.register_module()
class UNetHead(_DoublingHead):
    """The decoder of U-Net (Ronneberger et al., 2015, arXiv 1505.04597).

    At each step the map is doubled in size, joined with the encoder's of that size where there is
    one, and convolved twice. It computes what ``segmentation_models_pytorch.Unet`` does (MIT).

    Args:
        in_channels: Channels of the encoder's maps, finest first.
        widths: Channels after each step; as many steps as lead to the image's size.
        **settings: Those of ``BaseDecodeHead``.
    """

    def __init__(
        self, in_channels: Sequence[int], widths: Sequence[int] = WIDTHS, **settings: Any
    ) -> None:
        super().__init__(in_channels, widths, **settings)
        *skips, deepest = in_channels
        joined = [*reversed(skips), *[0] * (len(widths) - len(skips))]
        self.blocks = nn.ModuleList(
            two_convolutions(above + skip, width, self.norm_cfg)
            for above, skip, width in zip([deepest, *widths[:-1]], joined, widths, strict=True)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """The score of each class.

        Args:
            inputs: The encoder's maps (B, C_i, H_i, W_i), finest first.

        Returns:
            (B, classes, H, W), as large as the images.
        """
        *skips, x = self._transform_inputs(inputs)
        for block in self.blocks:
            x = block(_enlarged(x, *skips[-1:]))
            skips = skips[:-1]
        scores: Tensor = self.cls_seg(x)
        return scores


@MODELS.register_module()
class UNetPlusPlusHead(_DoublingHead):
    """The decoder of UNet++ (Zhou et al., 2018, arXiv 1807.10165).

    Node ``(i, j)`` sees the node ``(i + 1, j - 1)``, doubled in size, and all nodes before it on
    its level; ``(i, 0)`` is the encoder's map. It computes what
    ``segmentation_models_pytorch.UnetPlusPlus`` does (MIT), which segments from the last node.

    Args:
        in_channels: Channels of the encoder's maps, finest first.
        widths: Channels of each level's last node, coarsest first, and of the steps from the
            finest level to the image's size.
        **settings: Those of ``BaseDecodeHead``.
    """

    def __init__(
        self, in_channels: Sequence[int], widths: Sequence[int] = WIDTHS, **settings: Any
    ) -> None:
        super().__init__(in_channels, widths, **settings)
        self.n_levels = len(in_channels) - 1
        width = {(level, 0): channels for level, channels in enumerate(in_channels)}
        self.nodes = nn.ModuleDict()
        for column in range(1, self.n_levels + 1):
            for level in range(self.n_levels - column + 1):
                is_last = level + column == self.n_levels
                width[level, column] = widths[column - 1] if is_last else in_channels[level]
                seen = width[level + 1, column - 1] + sum(
                    width[level, before] for before in range(column)
                )
                self.nodes[f"{level}_{column}"] = two_convolutions(
                    seen, width[level, column], self.norm_cfg
                )
        last = widths[self.n_levels - 1 :]
        self.blocks = nn.ModuleList(
            two_convolutions(above, width, self.norm_cfg) for above, width in pairwise(last)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """The score of each class.

        Args:
            inputs: The encoder's maps (B, C_i, H_i, W_i), finest first.

        Returns:
            (B, classes, H, W), as large as the images.
        """
        # Each level's nodes so far, the latest first.
        levels = [[features] for features in self._transform_inputs(inputs)]
        for column in range(1, self.n_levels + 1):
            for level in range(self.n_levels - column + 1):
                below = levels[level + 1][-column]
                node = self.nodes[f"{level}_{column}"](_enlarged(below, *levels[level]))
                levels[level].insert(0, node)
        x = levels[0][0]
        for block in self.blocks:
            x = block(_enlarged(x))
        scores: Tensor = self.cls_seg(x)
        return scores


def _enlarged(x: Tensor, *beside: Tensor) -> Tensor:
    """A map as large as those that it is joined with; without any, twice as large."""
    if not beside:
        return interpolate(x, scale_factor=2.0, mode="nearest")
    size = beside[0].shape[-2:]
    return torch.cat([interpolate(x, size=size, mode="nearest"), *beside], dim=1)
