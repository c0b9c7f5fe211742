"""Detectors of mmdet whose queries are the best places of an image, for images of few places.

DINO asks for the best 900 places. An image of 128 x 128 pixels has 340, and mmdet's detectors stop
there.
"""

from __future__ import annotations

from typing import Any

from mmdet.models.detectors import DINO, DeformableDETR
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


def _longer(rows: Tensor, n: int, value: float) -> Tensor:
    return pad(rows, (0, 0, 0, n), value=value)


@MODELS.register_module()
class DeformableDETRForAnySize(_EnoughPlaces):
    """mmdet's two-stage ``DeformableDETR`` for images of any size (Zhu et al., 2021)."""


@MODELS.register_module()
class DINOForAnySize(_EnoughPlaces, DINO):  # type: ignore[misc]
    """mmdet's ``DINO`` for images of any size (Zhang et al., 2023)."""
