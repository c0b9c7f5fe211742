"""BEiT for pictures of any size."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from mmseg.models.backbones import BEiT
from mmseg.models.backbones.beit import BEiTAttention
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn import functional as F


@MODELS.register_module()
class BEiTAnySize(BEiT):  # type: ignore[misc]
    """mmseg's ``BEiT`` (Bao et al., 2021, arXiv 2106.08254) for pictures of any size.

    mmseg's works on pictures of ``img_size`` only, because each attention learns a bias for every
    distance between two patches of such a picture. Here the biases are interpolated to the
    distances in the picture at hand; their own shape, and so the pretrained weights', stays that of
    ``img_size``.

    Args:
        *args: Those of ``BEiT``.
        **settings: Those of ``BEiT``.
    """

    def _build_layers(self) -> None:
        super()._build_layers()
        for layer in self.layers:
            layer.attn = AnySizeAttention(
                self.embed_dims,
                self.num_heads,
                self.window_size,
                bias="qv_bias" if self.qv_bias else False,
                attn_drop_rate=self.attn_drop_rate,
            )

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of pictures.

        Args:
            inputs: (B, 3, H, W).

        Returns:
            One map (B, C, H / 16, W / 16) for each of ``out_indices``.
        """
        height, width = inputs.shape[-2:]
        for layer in self.layers:
            layer.attn.grid = (height // self.patch_size, width // self.patch_size)
        features: tuple[Tensor, ...] = super().forward(inputs)
        return features


class AnySizeAttention(BEiTAttention):  # type: ignore[misc]
    """BEiT's attention on a grid of patches of any size.

    Attributes:
        grid: Rows and columns of patches; the caller sets it.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.grid: tuple[int, int] = tuple(self.window_size)

    def forward(self, x: Tensor) -> Tensor:
        """Attend.

        Args:
            x: (B, 1 + rows * columns, C): the class token and the patches, row by row.
        """
        n_pictures, n_tokens, _ = x.shape
        bias = None
        if self.bias == "qv_bias":
            bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        qkv = F.linear(x, self.qkv.weight, self.qkv.bias if bias is None else bias)
        query, key, value = qkv.reshape(n_pictures, n_tokens, 3, self.num_heads, -1).permute(
            2, 0, 3, 1, 4
        )
        attended = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=self.position_bias().to(query.dtype),
            dropout_p=self.attn_drop.p if self.training else 0.0,
            scale=self.scale,
        )
        projected: Tensor = self.proj_drop(self.proj(attended.transpose(1, 2).flatten(2)))
        return projected

    def position_bias(self) -> Tensor:
        """The bias for each pair of tokens on the grid: (heads, tokens, tokens)."""
        table = self.relative_position_bias_table
        index = self.relative_position_index
        if self.grid != tuple(self.window_size):
            table = self._resized(table)
            index = _relative_position_index(self.grid).to(table.device)
        biases: Tensor = table[index.flatten()].view(*index.shape, -1).permute(2, 0, 1)
        return biases

    def _resized(self, table: Tensor) -> Tensor:
        # The last three are not distances: to, from and within the class token.
        distances, others = table[:-3], table[-3:]
        rows, columns = (2 * side - 1 for side in self.window_size)
        plane = distances.T.reshape(1, self.num_heads, rows, columns)
        size = (2 * self.grid[0] - 1, 2 * self.grid[1] - 1)
        # A distance of the same number of patches keeps its place in the plane's middle, and the
        # largest distances keep its edges.
        plane = F.interpolate(plane.float(), size, mode="bicubic", align_corners=True)
        return torch.cat((plane.flatten(2)[0].T.to(table.dtype), others))


@lru_cache(maxsize=8)
def _relative_position_index(grid: tuple[int, int]) -> Tensor:
    """Which row of a table of ``(2 rows - 1) (2 columns - 1) + 3`` each pair of tokens reads."""
    index: Tensor = BEiTAttention(1, 1, grid).relative_position_index
    return index
