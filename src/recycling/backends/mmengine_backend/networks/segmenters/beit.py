"""BEiT for images of any size."""

from __future__ import annotations

from mmseg.models.backbones import BEiT
from mmseg.models.backbones.beit import BEiTAttention
from mmseg.registry import MODELS
from torch import Tensor

from recycling.backends.mmengine_backend.networks.beit_attention import OnAnyGrid


@MODELS.register_module()
class BEiTAnySize(BEiT):  # type: ignore[misc]
    """mmseg's ``BEiT`` (Bao et al., 2021, arXiv 2106.08254) for images of any size.

    mmseg's works on images of ``img_size`` only; see `beit_attention`.

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
        """Feature maps of images.

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


class AnySizeAttention(OnAnyGrid, BEiTAttention):  # type: ignore[misc]
    """mmseg's, on a grid of patches of any size."""
