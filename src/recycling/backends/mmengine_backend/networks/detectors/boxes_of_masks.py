"""Networks for masks of instances as detectors of boxes.

mmdet draws each mask as large as the image's file: of a photograph of 4000 x 3000 pixels a hundred
masks take 5 GB, and nobody looks at them.
"""

from __future__ import annotations

from typing import Any

from mmdet.models.dense_heads import RTMDetInsSepBNHead
from mmdet.models.seg_heads import MaskFormerFusionHead
from mmdet.registry import MODELS


@MODELS.register_module()
class BoxOnlyRTMDetInsHead(RTMDetInsSepBNHead):  # type: ignore[misc]
    """mmdet's head of RTMDet-Ins that learns from masks, and predicts none."""

    def _bbox_mask_post_process(
        self, results: Any, mask_feat: Any, cfg: Any, *arguments: Any, **settings: Any
    ) -> Any:
        """Boxes do not depend on masks."""
        return self._bbox_post_process(results, cfg, *arguments, **settings)


@MODELS.register_module()
class BoxesOfMasks(MaskFormerFusionHead):  # type: ignore[misc]
    """mmdet's ``MaskFormerFusionHead`` that gives the boxes around masks, and not these."""

    def predict(
        self, mask_cls: Any, mask_pred: Any, samples: list[Any], rescale: bool = False
    ) -> list[dict[str, Any]]:
        """Boxes of masks as large as the network's input.

        Args:
            mask_cls: (B, queries, classes + 1).
            mask_pred: (B, queries, H, W).
            samples: mmdet's.
            rescale: Give boxes in pixels of the image's file.
        """
        results: list[dict[str, Any]] = super().predict(mask_cls, mask_pred, samples)
        for result, sample in zip(results, samples, strict=True):
            found = result["ins_results"]
            del found.masks
            if rescale:
                boxes = found.bboxes
                found.bboxes = boxes / boxes.new_tensor(sample.scale_factor).repeat(2)
        return results
