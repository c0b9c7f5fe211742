"""YOLOv5 (Jocher et al., 2020), as ultralytics keeps it, in mmdet's terms.

ultralytics is under AGPL-3.0. Its YOLOv5 has the backbone and neck of the original and, since 2023,
the head without anchors of YOLOv8 ("YOLOv5u"). Its published weights are pickled Python objects;
to load them would run what they say, so they are not taken.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import torch
from mmcv.ops import batched_nms
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.utils import filter_scores_and_topk
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_xyxy_to_cxcywh
from mmengine.structures import InstanceData
from torch import Tensor

from recycling.backends.core import BackendError
from recycling.backends.libraries import how_to_install


@MODELS.register_module()
class YOLOv5(BaseDetector):  # type: ignore[misc]
    """YOLOv5u: the network and the losses of ultralytics.

    Args:
        size: n, s, m, l or x.
        num_classes: Number of classes.
        gains: The shares of the losses of boxes, classes and edges; ultralytics' own.
        test_cfg: `score_thr`, `nms_pre`, `nms` and `max_per_img`, as of mmdet's heads.
        data_preprocessor: mmdet's.
        init_cfg: How to initialise; see mmengine.

    Raises:
        BackendError: ultralytics is not installed.
    """

    def __init__(
        self,
        size: str,
        num_classes: int,
        test_cfg: Any,
        gains: tuple[float, float, float] = (7.5, 0.5, 1.5),
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.test_cfg = test_cfg
        self.network = _network(size, num_classes)
        self.network.args = SimpleNamespace(**dict(zip(("box", "cls", "dfl"), gains, strict=True)))

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            batch_inputs: (B, 3, H, W), RGB from 0 to 1; H and W are multiples of 32.
            batch_data_samples: mmdet's, with their ``gt_instances``.
        """
        height, width = batch_inputs.shape[-2:]
        instances = [sample.gt_instances for sample in batch_data_samples]
        sides = batch_inputs.new_tensor([width, height, width, height])
        losses, _ = self.network.loss(
            {
                "img": batch_inputs,
                "batch_idx": torch.cat(
                    [
                        of_image.labels.new_full((len(of_image),), row)
                        for row, of_image in enumerate(instances)
                    ]
                ),
                "cls": torch.cat([of_image.labels for of_image in instances]),
                "bboxes": torch.cat(
                    [bbox_xyxy_to_cxcywh(of_image.bboxes) / sides for of_image in instances]
                ),
            }
        )
        # ultralytics adds up the images of a batch; here a learning rate does not depend on them.
        losses = losses / len(batch_inputs)
        return {"loss_bbox": losses[0], "loss_cls": losses[1], "loss_dfl": losses[2]}

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[Any], rescale: bool = True
    ) -> list[Any]:
        """Add ``pred_instances`` to each sample.

        Args:
            batch_inputs: (B, 3, H, W), RGB from 0 to 1.
            batch_data_samples: mmdet's.
            rescale: Give boxes in pixels of the image's file.
        """
        # (B, 4 + classes, cells): centre, size and the probability of each class.
        outputs = self.network(batch_inputs)[0].transpose(1, 2)
        found = [
            self._instances(output, sample.metainfo, rescale=rescale)
            for output, sample in zip(outputs, batch_data_samples, strict=True)
        ]
        samples: list[Any] = self.add_pred_to_datasample(batch_data_samples, found)
        return samples

    def _instances(self, output: Tensor, image: dict[str, Any], *, rescale: bool) -> Any:
        settings = self.test_cfg
        # ultralytics' own suppression gives up after a time, so it is not the same twice.
        scores, labels, _, kept = filter_scores_and_topk(
            output[:, 4:],
            settings.score_thr,
            settings.nms_pre,
            {"boxes": bbox_cxcywh_to_xyxy(output[:, :4])},
        )
        boxes = kept["boxes"]
        height, width = image["img_shape"][:2]
        boxes = boxes.clamp(boxes.new_zeros(4), boxes.new_tensor([width, height, width, height]))
        if rescale:
            boxes = boxes / boxes.new_tensor(image["scale_factor"]).repeat(2)
        if boxes.numel():  # without boxes it would stop
            _, best = batched_nms(boxes, scores, labels, settings.nms)
            best = best[: settings.max_per_img]
            boxes, scores, labels = boxes[best], scores[best], labels[best]
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)

    def extract_feat(self, batch_inputs: Tensor) -> Any:
        """What the network gives before any threshold."""
        return self.network(batch_inputs)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: Any = None) -> Any:
        return self.extract_feat(batch_inputs)


def _network(size: str, num_classes: int) -> Any:
    # Else ultralytics looks for the internet when it is imported, and talks.
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    # It measures its strides with an image, which takes a device that computes.
    with torch.device("cpu"):
        try:
            from ultralytics.nn.tasks import DetectionModel
        except ImportError as error:
            raise BackendError(
                "YOLOv5 needs ultralytics (AGPL-3.0), which is not installed; "
                f"{how_to_install('ultralytics')}"
            ) from error
        return DetectionModel(f"yolov5{size}.yaml", nc=num_classes, verbose=False)
