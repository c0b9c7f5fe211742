"""BEiT's attention (Bao et al., 2021, arXiv 2106.08254) on a grid of patches of any size.

mmpretrain and mmseg have a BEiT each, for images of one size only, because each attention learns a
bias for every distance between two patches of such an image. Here the biases are interpolated to
the distances in the image at hand; their own shape, and so the pretrained weights', stays.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]
"""Rows and columns of patches."""


def attend(attention: Any, x: Tensor, bias: Tensor | None, grid: Grid) -> Tensor:
    """What a library's ``BEiTAttention`` computes, on a grid of any size.

    Args:
        attention: The library's module.
        x: (B, 1 + rows * columns, C): the class token and the patches, row by row.
        bias: Of queries, keys and values, (3 C,).
        grid: Rows and columns.
    """
    n_images, n_tokens, _ = x.shape
    query, key, value = (
        F.linear(x, attention.qkv.weight, bias)
        .reshape(n_images, n_tokens, 3, attention.num_heads, -1)
        .permute(2, 0, 3, 1, 4)
    )
    learnt_on: Grid = tuple(attention.window_size)
    biases = position_bias(attention.relative_position_bias_table, learnt_on, grid)
    attended = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=biases.to(query.dtype),
        dropout_p=attention.attn_drop.p if attention.training else 0.0,
        scale=attention.scale,
    )
    projected: Tensor = attention.proj_drop(attention.proj(attended.transpose(1, 2).flatten(2)))
    return projected


class OnAnyGrid:
    """What makes a library's ``BEiTAttention``, the class behind it, work on a grid of any size.

    Attributes:
        grid: Rows and columns of patches; the caller sets it.
    """

    window_size: Any

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.grid: Grid = tuple(self.window_size)

    def forward(self: Any, x: Tensor, rel_pos_bias: None = None) -> Tensor:
        """Attend.

        Args:
            x: (B, 1 + rows * columns, C): the class token and the patches, row by row.
            rel_pos_bias: None; each attention has biases of its own.
        """
        bias = self.qkv.bias
        if self.bias == "qv_bias":
            bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        return attend(self, x, bias, self.grid)


def position_bias(table: Tensor, learnt_on: Grid, grid: Grid) -> Tensor:
    """The bias for each pair of tokens: the class token and the patches, row by row.

    Args:
        table: ((2 rows - 1) (2 columns - 1) + 3, heads): a bias for every distance between two
            patches of the grid that it was learnt on, row by row, and for to, from and within the
            class token.
        learnt_on: That grid.
        grid: The one at hand.

    Returns:
        (heads, tokens, tokens).

    >>> position_bias(torch.zeros(3 * 3 + 3, 2), learnt_on=(2, 2), grid=(3, 4)).shape
    torch.Size([2, 13, 13])
    """
    if grid != learnt_on:
        table = _resized(table, learnt_on, grid)
    index = _index(grid).to(table.device)
    return table[index.flatten()].view(*index.shape, -1).permute(2, 0, 1)


def _resized(table: Tensor, learnt_on: Grid, grid: Grid) -> Tensor:
    distances, others = table[:-3], table[-3:]
    plane = distances.T.reshape(1, -1, *(2 * side - 1 for side in learnt_on))
    size = [2 * side - 1 for side in grid]
    # No distance keeps its place in the plane's middle, and the largest ones keep its edges.
    plane = F.interpolate(plane.float(), size, mode="bicubic", align_corners=True)
    return torch.cat((plane.flatten(2)[0].T.to(table.dtype), others))


@lru_cache(maxsize=8)
def _index(grid: Grid) -> Tensor:
    """Which row of a table of that grid each pair of tokens reads, (tokens, tokens)."""
    rows, columns = grid
    row = torch.arange(rows).repeat_interleave(columns)
    column = torch.arange(columns).repeat(rows)
    n_distances = (2 * rows - 1) * (2 * columns - 1)
    index = torch.empty(len(row) + 1, len(row) + 1, dtype=torch.long)
    down = row[:, None] - row[None] + rows - 1
    right = column[:, None] - column[None] + columns - 1
    index[1:, 1:] = down * (2 * columns - 1) + right
    index[0], index[:, 0], index[0, 0] = n_distances, n_distances + 1, n_distances + 2
    return index
