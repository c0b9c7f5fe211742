"""SeMask: a Swin Transformer that guesses the classes on its way, and uses the guess."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models.backbones import SwinTransformer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

MANY_CLASSES = 19
"""With more, the authors' T, S and L attend to the whole map in their last two stages."""

THEIR_WIDTHS = (96, 192)
"""The ``embed_dims`` of T and S, and of L; those of B are 128."""


@MODELS.register_module()
class SeMaskSwin(SwinTransformer):  # type: ignore[misc]
    """Swin with a semantic layer behind each stage (Jain et al., 2021, arXiv 2112.12782).

    It computes what the authors' code does (github.com/Picsart-AI-Research/SeMask-Segmentation,
    Apache-2.0). Its weights are named as Swin's, so those of Swin load. The layers add nothing at
    first: the network begins as a Swin whose stages hand on normed features.

    Args:
        num_classes: The number of classes.
        semantic_window_size: Side of the windows in which the semantic layers attend.
        **settings: Those of ``SwinTransformer``; `out_indices` has to be all stages.
    """

    def __init__(self, num_classes: int, semantic_window_size: int = 7, **settings: Any) -> None:
        super().__init__(**settings)
        if len(self.out_indices) != len(self.stages):
            raise ValueError(f"out_indices: SeMask gives all {len(self.stages)} stages; leave it")
        whole_maps = num_classes > MANY_CLASSES and self.num_features[0] in THEIR_WIDTHS
        self.semantic_layers = nn.ModuleList(
            SemanticAttention(
                width, num_classes, None if whole_maps and stage > 1 else semantic_window_size
            )
            for stage, width in enumerate(self.num_features)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features and semantic priors of images.

        Args:
            images: (B, 3, H, W).

        Returns:
            The stages' features (B, C_i, H_i, W_i), finest first, then as many semantic priors
            (B, classes, H_i, W_i): each stage's scores of the classes.
        """
        x, size = self.patch_embed(images)
        if self.use_abs_pos_embed:
            x = x + self.absolute_pos_embed
        x = self.drop_after_pos(x)
        features, priors = [], []
        for number, (stage, layer) in enumerate(
            zip(self.stages, self.semantic_layers, strict=True)
        ):
            for block in stage.blocks:
                x = block(x, size)
            x, prior = layer(x, size)
            features.append(_as_map(getattr(self, f"norm{number}")(x), size))
            priors.append(_as_map(prior, size))
            if stage.downsample:
                x, size = stage.downsample(x, size)
        return (*features, *priors)


class SemanticAttention(nn.Module):
    """The SeMask block: attention between positions of the same class.

    Query and key have a channel a class; the query is the semantic prior. What is found is added
    to the normed features, times a gate that begins at zero.

    Weights begin as Swin's do, as the authors' in truth do: they set those of ``out`` to zero, but
    then let Swin initialise the whole backbone. With both at zero, neither could learn.

    Args:
        channels: Channels of the features.
        num_classes: The number of classes.
        window_size: Side of the windows within which positions attend to one another; None is
            the whole map.
    """

    def __init__(self, channels: int, num_classes: int, window_size: int | None) -> None:
        super().__init__()
        self.window_size = window_size
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, num_classes)
        self.key = nn.Linear(channels, num_classes)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(0.1)
        self.gate = nn.Parameter(torch.zeros(1))
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Norm, and add what each position finds at positions of its class.

        Args:
            x: (B, H * W, C).
            size: H and W.

        Returns:
            (B, H * W, C) and the semantic prior (B, H * W, classes).
        """
        x, side = self.norm(x), self.window_size
        places = x if side is None else _to_windows(x, size, side)
        prior = self.query(places)
        found = F.scaled_dot_product_attention(
            prior, self.key(places), self.value(places), scale=1.0
        )
        added = self.dropout(self.out(found))
        if side is not None:
            added, prior = (_from_windows(each, size, side) for each in (added, prior))
        return x + self.gate * added, prior


@MODELS.register_module()
class SemanticPriorHead(BaseDecodeHead):  # type: ignore[misc]
    """SeMask's semantic decoder: the sum of the stages' semantic priors, for training only.

    Each is doubled in size as often as its stage was halved. It has no weights of its own. In a
    config it is the auxiliary head, with the loss weight 0.4.

    Args:
        num_classes: The number of classes.
        in_index: Where in the backbone's output the priors are.
        **settings: Those of ``BaseDecodeHead``.
    """

    def __init__(self, num_classes: int, in_index: list[int], **settings: Any) -> None:
        super().__init__(
            in_channels=[num_classes] * len(in_index),
            channels=num_classes,
            num_classes=num_classes,
            in_index=in_index,
            input_transform="multiple_select",
            init_cfg=None,
            **settings,
        )
        self.conv_seg = nn.Identity()

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The score of each class.

        Args:
            inputs: What ``SeMaskSwin`` gives.

        Returns:
            (B, classes, H_0, W_0).
        """
        total: Tensor
        total, *coarser = self._transform_inputs(inputs)
        settings = {"mode": "bilinear", "align_corners": self.align_corners}
        for doublings, prior in enumerate(coarser, start=1):
            enlarged = prior
            for _ in range(doublings):
                enlarged = resize(enlarged, scale_factor=2, **settings)
            total = total + resize(enlarged, total.shape[-2:], **settings)
        return total


def _as_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x.transpose(1, 2).reshape(x.shape[0], -1, *size)


def _to_windows(x: Tensor, size: tuple[int, int], side: int) -> Tensor:
    """(B, H * W, C) as (B * windows, side^2, C), with zeros where a window is cut off."""
    height, width = size
    n_images, _, n_channels = x.shape
    maps = x.reshape(n_images, height, width, n_channels)
    maps = F.pad(maps, (0, 0, 0, -width % side, 0, -height % side))
    rows, columns = (length // side for length in maps.shape[1:3])
    windows = maps.reshape(n_images, rows, side, columns, side, n_channels).transpose(2, 3)
    return windows.reshape(-1, side**2, n_channels)


def _from_windows(windows: Tensor, size: tuple[int, int], side: int) -> Tensor:
    """The inverse of `_to_windows`."""
    height, width = size
    rows, columns = -(-height // side), -(-width // side)
    maps = windows.reshape(-1, rows, columns, side, side, windows.shape[-1]).transpose(2, 3)
    maps = maps.reshape(-1, rows * side, columns * side, windows.shape[-1])
    return maps[:, :height, :width].flatten(1, 2)
