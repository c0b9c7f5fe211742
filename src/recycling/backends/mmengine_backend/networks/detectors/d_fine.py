"""D-FINE (Peng et al., 2024), as transformers keeps it, in mmdet's terms.

transformers (Apache-2.0) has the network and its losses; what is around them (augmentation,
schedule, averaging, resuming) is as of any other detector of mmdet.
"""

from __future__ import annotations

from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmdet.models.utils import filter_scores_and_topk
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_xyxy_to_cxcywh
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.functional import pad

from recycling.backends.core import BackendError
from recycling.backends.libraries import how_to_install

OWN = "network."
"""How the names of all weights begin here."""


@MODELS.register_module()
class DFine(BaseDetector):  # type: ignore[misc]
    """D-FINE: queries that refine where each edge of a box is likely to be.

    Weights as transformers publishes them are taken as they are.

    Args:
        num_classes: Number of classes.
        features: Arguments of transformers' ``HGNetV2Config``.
        network: Those of its ``DFineConfig``.
        test_cfg: `score_thr` and `max_per_img`, as of mmdet's heads.
        data_preprocessor: mmdet's.
        init_cfg: How to initialise; see mmengine.

    Raises:
        BackendError: transformers is not installed.
    """

    def __init__(
        self,
        num_classes: int,
        features: dict[str, Any],
        network: dict[str, Any],
        test_cfg: Any,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.test_cfg = test_cfg
        self.network = _network(num_classes, features, network)
        self.n_queries = self.network.config.num_queries
        self.register_load_state_dict_pre_hook(_with_own_names)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            batch_inputs: (B, 3, H, W), RGB from 0 to 1; H and W are multiples of 32.
            batch_data_samples: mmdet's, with their ``gt_instances``.
        """
        square = _square(batch_inputs)
        sides = _sides(square)
        labels = [
            {
                "class_labels": sample.gt_instances.labels,
                "boxes": bbox_xyxy_to_cxcywh(sample.gt_instances.bboxes) / sides,
            }
            for sample in batch_data_samples
        ]
        losses: dict[str, Tensor] = self._seen(square, labels).loss_dict
        return losses

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[Any], rescale: bool = True
    ) -> list[Any]:
        """Add ``pred_instances`` to each sample; each query has one box, and none is suppressed.

        Args:
            batch_inputs: (B, 3, H, W), RGB from 0 to 1.
            batch_data_samples: mmdet's.
            rescale: Give boxes in pixels of the image's file.
        """
        boxes, scores = self.boxes_and_scores(batch_inputs)
        found = [
            self._instances(own, score, sample.metainfo, rescale=rescale)
            for own, score, sample in zip(boxes, scores, batch_data_samples, strict=True)
        ]
        samples: list[Any] = self.add_pred_to_datasample(batch_data_samples, found)
        return samples

    def boxes_and_scores(self, batch_inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What each query finds.

        Args:
            batch_inputs: (B, 3, H, W), RGB from 0 to 1.

        Returns:
            Corners in pixels of the input, (B, queries, 4), and scores, (B, queries, classes).
        """
        square = _square(batch_inputs)
        found = self._seen(square)
        boxes: Tensor = bbox_cxcywh_to_xyxy(found.pred_boxes) * _sides(square)
        return boxes, found.logits.sigmoid()

    def _instances(
        self, boxes: Tensor, scores: Tensor, image: dict[str, Any], *, rescale: bool
    ) -> Any:
        settings = self.test_cfg
        scores, labels, _, kept = filter_scores_and_topk(
            scores, settings.score_thr, settings.max_per_img, {"boxes": boxes}
        )
        boxes = kept["boxes"]
        height, width = image["img_shape"][:2]
        boxes = boxes.clamp(boxes.new_zeros(4), boxes.new_tensor([width, height, width, height]))
        if rescale:
            boxes = boxes / boxes.new_tensor(image["scale_factor"]).repeat(2)
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)

    def extract_feat(self, batch_inputs: Tensor) -> Any:
        """What the network gives before any threshold."""
        return self._seen(_square(batch_inputs))

    def _seen(self, batch_inputs: Tensor, labels: Any = None) -> Any:
        """What the network says; its queries are the best places, and a small image has few."""
        config = self.network.config
        height, width = batch_inputs.shape[-2:]
        places = sum((height // stride) * (width // stride) for stride in config.feat_strides)
        config.num_queries = min(self.n_queries, places)
        return self.network(batch_inputs, labels=labels)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: Any = None) -> Any:
        return self.extract_feat(batch_inputs)


def _square(batch_inputs: Tensor) -> Tensor:
    """Images as the network was trained on and as its exported form sees them: of equal sides."""
    height, width = batch_inputs.shape[-2:]
    side = max(height, width)
    return pad(batch_inputs, (0, side - width, 0, side - height))


def _sides(batch_inputs: Tensor) -> Tensor:
    height, width = batch_inputs.shape[-2:]
    return batch_inputs.new_tensor([width, height, width, height])


def _with_own_names(_: Any, state: dict[str, Tensor], prefix: str, *__: Any) -> None:
    """Let weights as transformers names them begin as here."""
    theirs = [name for name in state if not name.startswith(prefix + OWN)]
    for name in theirs:
        state[prefix + OWN + name.removeprefix(prefix)] = state.pop(name)


def _network(num_classes: int, features: dict[str, Any], network: dict[str, Any]) -> Any:
    try:
        from transformers import DFineConfig, DFineForObjectDetection, HGNetV2Config
    except ImportError as error:
        raise BackendError(
            f"D-FINE needs transformers, which is not installed; {how_to_install('transformers')}"
        ) from error
    config = DFineConfig(
        backbone_config=HGNetV2Config(**features), num_labels=num_classes, **network
    )
    return DFineForObjectDetection(config)
