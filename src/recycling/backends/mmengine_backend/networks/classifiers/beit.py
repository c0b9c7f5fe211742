"""BEiT for images of any size."""

from __future__ import annotations

from typing import Any

from mmpretrain.models.backbones import BEiTViT
from mmpretrain.models.utils import BEiTAttention
from mmpretrain.registry import MODELS
from torch import Tensor

from recycling.backends.mmengine_backend.networks.beit_attention import OnAnyGrid


@MODELS.register_module()
class BEiTAnySize(BEiTViT):  # type: ignore[misc]
    """mmpretrain's ``BEiTViT`` (Bao et al., 2021, arXiv 2106.08254) for images of any size.

    mmpretrain's works on images of ``img_size`` only; and to fit pretrained biases to another
    ``img_size`` it calls what SciPy no longer has. See `beit_attention`.

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

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of images.

        Args:
            images: (B, 3, H, W).

        Returns:
            One tensor, (B, C), for each of ``out_indices``.
        """
        # What is left over at the right and at the bottom is filled up to a whole patch.
        sides = zip(images.shape[-2:], self.patch_embed.projection.stride, strict=True)
        rows, columns = (-(-side // patch) for side, patch in sides)
        for layer in self.layers:
            layer.attn.grid = (rows, columns)
        features: tuple[Tensor, ...] = super().forward(images)
        return features


class AnySizeAttention(OnAnyGrid, BEiTAttention):  # type: ignore[misc]
    """mmpretrain's, on a grid of patches of any size."""
