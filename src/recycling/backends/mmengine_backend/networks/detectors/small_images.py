"""Detectors of mmdet whose queries are the best places of an image, for images of few places.

DINO asks for the best 900 places. An image of 128 x 128 pixels has 340, and mmdet's detectors stop
there.

onedl-mmdetection 3.5 tells DINO's decoder where its queries are in twice as many numbers as mmdet,
whose published weights do not fit any more, and Grounding DINO's cannot run (its issue 25). Here
both have mmdet's.
"""

from __future__ import annotations

from typing import Any

from mmdet.models.detectors import DINO, DeformableDETR
from mmdet.models.layers.transformer.utils import MLP
from mmdet.registry import MODELS
from torch import Tensor
from torch.nn.functional import pad


class _EnoughPlaces(DeformableDETR):  # type: ignore[misc]
    def gen_encoder_output_proposals(self, *arguments: Any, **settings: Any) -> tuple[Any, Any]:
        """Features of the places and their boxes, at least as many as there are queries.

        Returns:
            (B, places, channels), and (B, places, 4) before the sigmoid. Places that are added see
            nothing and have no box, as those that mmdet finds in the padding of an image.
        """
        features, boxes = super().gen_encoder_output_proposals(*arguments, **settings)
        lacking = max(0, self.num_queries - features.shape[1])
        return _longer(features, lacking, 0.0), _longer(boxes, lacking, float("inf"))


class _AsPublished(DINO):  # type: ignore[misc]
    def _init_layers(self) -> None:
        super()._init_layers()
        width = self.embed_dims
        self.decoder.ref_point_head = _EverySecondWave(2 * width, width, width, 2)


class _EverySecondWave(MLP):  # type: ignore[misc]
    """Reads, of the waves that tell where a box is, those that there are with half as many."""

    def forward(self, waves: Tensor) -> Tensor:
        """From (B, queries, 4 x channels), pairs of sine and cosine, to (B, queries, channels)."""
        every = waves.reshape(*waves.shape[:-1], 4, -1, 2)
        found: Tensor = super().forward(every[..., ::2, :].flatten(-3))
        return found


def _longer(rows: Tensor, n: int, value: float) -> Tensor:
    return pad(rows, (0, 0, 0, n), value=value)


@MODELS.register_module()
class DeformableDETRForAnySize(_EnoughPlaces):
    """mmdet's two-stage ``DeformableDETR`` for images of any size (Zhu et al., 2021)."""


@MODELS.register_module()
class DINOForAnySize(_EnoughPlaces, _AsPublished):
    """mmdet's ``DINO`` for images of any size (Zhang et al., 2023)."""
