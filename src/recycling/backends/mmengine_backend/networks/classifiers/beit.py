"""BEiT for pictures of any size."""

from __future__ import annotations

from typing import Any

import torch
from mmpretrain.models.backbones import BEiTViT
from mmpretrain.models.utils import BEiTAttention
from mmpretrain.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from recycling.backends.mmengine_backend.networks.position_bias import Grid, position_bias


@MODELS.register_module()
class BEiTAnySize(BEiTViT):  # type: ignore[misc]
    """mmpretrain's ``BEiTViT`` (Bao et al., 2021, arXiv 2106.08254) for pictures of any size.

    mmpretrain's works on pictures of ``img_size`` only, because each attention learns a bias for
    every distance between two patches of such a picture; and to fit pretrained biases to another
    ``img_size`` it calls what SciPy no longer has. Here they are interpolated to the distances in
    the picture at hand; their own shape, and so the pretrained weights', stays that of
    ``img_size``.

    Args:
        *args: Those of ``BEiTViT``.
        **settings: Those of ``BEiTViT``.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for layer in self.layers:
            known = layer.attn
            layer.attn = AnySizeAttention(
                known.embed_dims,
                known.num_heads,
                known.window_size,
                known.use_rel_pos_bias,
                bias=known.bias,
                attn_drop_rate=known.attn_drop.p,
                proj_drop_rate=known.proj_drop.p,
            )

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Features of pictures.

        Args:
            pictures: (B, 3, H, W).

        Returns:
            One tensor, (B, C), for each of ``out_indices``.
        """
        # What is left over at the right and at the bottom is filled up to a whole patch.
        sides = zip(pictures.shape[-2:], self.patch_embed.projection.stride, strict=True)
        rows, columns = (-(-side // patch) for side, patch in sides)
        for layer in self.layers:
            layer.attn.grid = (rows, columns)
        features: tuple[Tensor, ...] = super().forward(pictures)
        return features


class AnySizeAttention(BEiTAttention):  # type: ignore[misc]
    """BEiT's attention on a grid of patches of any size.

    Attributes:
        grid: Rows and columns of patches; the caller sets it.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.grid: Grid = tuple(self.window_size)

    def forward(self, x: Tensor, rel_pos_bias: None = None) -> Tensor:
        """Attend.

        Args:
            x: (B, 1 + rows * columns, C): the class token and the patches, row by row.
            rel_pos_bias: None; each attention has biases of its own.
        """
        n_pictures, n_tokens, _ = x.shape
        bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        query, key, value = (
            F.linear(x, self.qkv.weight, bias)
            .reshape(n_pictures, n_tokens, 3, self.num_heads, -1)
            .permute(2, 0, 3, 1, 4)
        )
        biases = position_bias(
            self.relative_position_bias_table, tuple(self.window_size), self.grid
        )
        attended = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=biases.to(query.dtype),
            dropout_p=self.attn_drop.p if self.training else 0.0,
            scale=self.scale,
        )
        projected: Tensor = self.proj_drop(self.proj(attended.transpose(1, 2).flatten(2)))
        return projected
