"""Lawin Transformer's decoder: a spatial pyramid of attention to large windows."""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import normal_init
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 8
"""Side of a window of queries, in cells of the feature map (P in the paper)."""

RATIOS = (8, 4, 2)
"""How many times a window of context is as wide as the one of queries (R in the paper)."""


@MODELS.register_module()
class LawinHead(BaseDecodeHead):  # type: ignore[misc]
    """LawinASPP (Yan et al., 2022, arXiv 2201.01615).

    The three coarser stages are brought to the second stage's size and fused. Five views of the
    result are joined: itself, its mean over the image, and attention to contexts two, four and
    eight times as wide as a window. The first stage then adds the detail.

    It computes what the authors' ``lawin_head.py`` does (github.com/yan-hao-tian/lawin; nothing of
    it is copied, as its licence is CC BY-NC 4.0), and also takes maps whose sides are no multiple
    of a window's.

    Args:
        in_channels: Channels of the backbone's four stages, finest first.
        channels: Channels in the pyramid.
        embed_channels: Channels that each of the three coarser stages is brought to before they
            are fused: 768 in the authors' code, 202.6 M parameters with Swin-L. The paper counts
            201.2 M, nearer to 512, 201.5 M.
        low_level_channels: Channels that the first stage is brought to.
        **settings: Those of ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: list[int],
        channels: int = 512,
        embed_channels: int = 768,
        low_level_channels: int = 48,
        **settings: Any,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            input_transform="multiple_select",
            **settings,
        )
        n_coarser = len(in_channels) - 1
        widths = [low_level_channels, *[embed_channels] * n_coarser]
        self.embeddings = nn.ModuleList(
            nn.Conv2d(stage, width, 1) for stage, width in zip(in_channels, widths, strict=True)
        )
        self.fuse = self._convolution(n_coarser * embed_channels)
        self.short_path = self._convolution(channels)
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), self._convolution(channels))
        self.attentions = nn.ModuleList(
            LargeWindowAttention(channels, ratio, self.norm_cfg) for ratio in RATIOS
        )
        self.join = self._convolution((2 + len(RATIOS)) * channels)
        self.add_detail = self._convolution(channels + low_level_channels)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """The score of each class.

        Args:
            inputs: The backbone's maps (B, C_i, H_i, W_i), finest first.

        Returns:
            (B, classes, H_0, W_0).
        """
        stages = self._transform_inputs(inputs)
        low_level, *others = (
            embed(stage) for embed, stage in zip(self.embeddings, stages, strict=True)
        )
        size = others[0].shape[-2:]
        coarsest_first = [self._resize(stage, size) for stage in reversed(others)]
        fused = self.fuse(torch.cat(coarsest_first, dim=1))
        views = [
            self.short_path(fused),
            self.image_pool(fused).expand(-1, -1, *size),
            *(attention(fused) for attention in self.attentions),
        ]
        joined = self._resize(self.join(torch.cat(views, dim=1)), low_level.shape[-2:])
        scores: Tensor = self.cls_seg(self.add_detail(torch.cat([joined, low_level], dim=1)))
        return scores

    def _convolution(self, in_channels: int) -> ConvModule:
        return ConvModule(
            in_channels, self.channels, 1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg
        )

    def _resize(self, features: Tensor, size: torch.Size) -> Tensor:
        resized: Tensor = resize(features, size, mode="bilinear", align_corners=self.align_corners)
        return resized


class LargeWindowAttention(nn.Module):
    """Attention of each window to a context ``ratio`` times as wide (section 3.1 of the paper).

    The context is pooled to the window's size, half by its maximum and half by its mean. What that
    loses, ``ratio^2`` heads make up for: each has its own mixing of the context's positions.

    Args:
        channels: Channels of the feature map; a multiple of ``2 ratio^2``.
        ratio: Side of the context in sides of a window; even.
        norm_cfg: The normalisation of what is added to the map.
    """

    def __init__(self, channels: int, ratio: int, norm_cfg: dict[str, Any] | None) -> None:
        super().__init__()
        self.ratio = ratio
        self.heads = ratio**2
        inner = channels // 2
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.ModuleList(nn.Linear(WINDOW**2, WINDOW**2) for _ in range(self.heads))
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Linear(channels, inner)
        self.value = nn.Linear(channels, inner)
        for layer in (self.query, self.key, self.value):
            normal_init(layer, std=0.01)
        self.out = ConvModule(inner, channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        # Begin as the identity.
        nn.init.zeros_((self.out.norm if norm_cfg else self.out.conv).weight)

    def forward(self, features: Tensor) -> Tensor:
        """Add to each cell what it finds in its window's context.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        n_images, _, height, width = features.shape
        padded = F.pad(features, (0, -width % WINDOW, 0, -height % WINDOW))
        size = padded.shape[-2:]
        context = self._mixed(self._contexts(padded))
        query = _windows(self.query(padded), WINDOW)
        attended = F.scaled_dot_product_attention(
            self._split(query), self._split(self.key(context)), self._split(self.value(context))
        )
        # A window's channels and cells in a column: (B, C / 2 * WINDOW^2, windows).
        columns = attended.transpose(2, 3).reshape(n_images, -1, attended[0].numel())
        found = F.fold(columns.transpose(1, 2), (size[0], size[1]), WINDOW, stride=WINDOW)
        added: Tensor = self.out(found[..., :height, :width])
        return features + added

    def _contexts(self, features: Tensor) -> Tensor:
        """Each window's context, pooled to the window's size: (B * windows, WINDOW^2, C)."""
        margin = (self.ratio - 1) * WINDOW // 2
        padded = F.pad(features, [margin] * 4)
        # Pooling first gives what pooling each context gives, as contexts begin on whole cells.
        pooled = 0.5 * (F.max_pool2d(padded, self.ratio) + F.avg_pool2d(padded, self.ratio))
        normed: Tensor = self.norm(_windows(pooled, WINDOW // self.ratio))
        return normed

    def _mixed(self, context: Tensor) -> Tensor:
        """Mix the positions, each head those of its own channels."""
        n_windows, n_cells, _ = context.shape
        by_head = context.transpose(1, 2).reshape(n_windows, self.heads, -1, n_cells)
        weights, biases = (
            torch.stack([getattr(layer, name) for layer in self.mix]) for name in ("weight", "bias")
        )
        mixed = by_head @ weights.transpose(1, 2) + biases[:, None]
        return context + mixed.flatten(1, 2).transpose(1, 2)

    def _split(self, tokens: Tensor) -> Tensor:
        """(N, tokens, C) as (N, heads, tokens, C / heads)."""
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


def _windows(features: Tensor, stride: int) -> Tensor:
    """The windows of a map, (B, C, H, W), row by row: (B * windows, WINDOW^2, C)."""
    n_images, n_channels = features.shape[:2]
    columns = F.unfold(features, WINDOW, stride=stride)
    windows = columns.reshape(n_images, n_channels, WINDOW**2, -1)
    return windows.permute(0, 3, 2, 1).flatten(0, 1)
