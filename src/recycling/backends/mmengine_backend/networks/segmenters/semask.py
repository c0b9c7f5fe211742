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


@MODELS.register_module()
class SeMaskSwin(SwinTransformer):  # type: ignore[misc]
    """Swin with a semantic layer behind each stage (Jain et al., 2021, arXiv 2112.12782).

    Its weights are named as Swin's, so those of Swin load. The layers begin as identities.

    Args:
        num_classes: The number of classes.
        semantic_window_size: Side of the windows in which the semantic layers attend.
        **settings: Those of ``SwinTransformer``; `out_indices` has to be all stages.
    """

    def __init__(self, num_classes: int, semantic_window_size: int = 7, **settings: Any) -> None:
        super().__init__(**settings)
        if len(self.out_indices) != len(self.stages):
            raise ValueError(f"out_indices: SeMask gives all {len(self.stages)} stages; leave it")
        self.semantic_layers = nn.ModuleList(
            SemanticAttention(width, num_classes, semantic_window_size)
            for width in self.num_features
        )

    def init_weights(self) -> None:
        """Swin's, and identities for the semantic layers."""
        super().init_weights()
        for layer in self.semantic_layers:
            assert isinstance(layer, SemanticAttention)
            layer.begin_as_identity()

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

    Query and key have a channel a class; the query is the semantic prior.

    Args:
        channels: Channels of the features.
        num_classes: The number of classes.
        window_size: Side of the windows within which positions attend to one another.
    """

    def __init__(self, channels: int, num_classes: int, window_size: int) -> None:
        super().__init__()
        self.window_size = window_size
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, num_classes)
        self.key = nn.Linear(channels, num_classes)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(0.1)
        self.scale = nn.Parameter(torch.zeros(1))

        self.begin_as_identity()

    def begin_as_identity(self) -> None:
        """Set the weights so that nothing is added yet, and that the prior can be learnt."""
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.kaiming_normal_(linear.weight)
            nn.init.zeros_(linear.bias)
        nn.init.ones_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)
        nn.init.zeros_(self.scale)

    def forward(self, x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Add what each position finds at positions of its class.

        Args:
            x: (B, H * W, C).
            size: H and W.

        Returns:
            (B, H * W, C) and the semantic prior (B, H * W, classes).
        """
        windows = _to_windows(self.norm(x), size, self.window_size)
        prior = self.query(windows)
        found = F.scaled_dot_product_attention(
            prior, self.key(windows), self.value(windows), scale=1.0
        )
        added = _from_windows(self.dropout(self.out(found)), size, self.window_size)
        return x + self.scale * added, _from_windows(prior, size, self.window_size)


@MODELS.register_module()
class SemanticPriorHead(BaseDecodeHead):  # type: ignore[misc]
    """SeMask's semantic decoder: the sum of the stages' semantic priors, for training only.

    It has no weights of its own. In a config it is the auxiliary head, with the loss weight 0.4.

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
        priors = self._transform_inputs(inputs)
        size = priors[0].shape[-2:]
        return torch.stack(
            [resize(p, size, mode="bilinear", align_corners=self.align_corners) for p in priors]
        ).sum(dim=0)


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
