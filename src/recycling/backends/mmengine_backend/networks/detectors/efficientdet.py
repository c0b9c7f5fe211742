"""EfficientDet (Tan et al., 2020, arXiv 1911.09070): networks of effdet, in mmdet's terms.

effdet (Apache-2.0, the weights too) has the networks and their official weights. Anchors, targets,
losses and prediction are mmdet's, so that every setting of a detector means here what it means
elsewhere; with the recipes' values the losses are those of effdet.
"""

from __future__ import annotations

from typing import Any

from mmdet.models.dense_heads.anchor_head import AnchorHead
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from recycling.backends.core import BackendError
from recycling.backends.libraries import how_to_install


@MODELS.register_module()
class EfficientDetFeatures(BaseModule):  # type: ignore[misc]
    """EfficientDet's backbone and its pyramid: levels of strides 8 to 128.

    Args:
        name: One of effdet's configs, such as ``tf_efficientdet_d0``.
        frozen_stages: First stages of the backbone that do not learn; 0 is its first convolution,
            -1 lets all learn.
        init_cfg: How to initialise; effdet's own weights fit.

    Raises:
        BackendError: effdet is not installed.
    """

    def __init__(self, name: str, frozen_stages: int = -1, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        network = _network(name)
        self.backbone, self.fpn = network.backbone, network.fpn
        self.frozen_stages = frozen_stages
        for module in self.fpn.modules():
            if type(module).__name__ == "Interpolate2d":
                # effdet enlarges to the size of its own data set's images; each level is twice
                # the next one, whatever the image's size.
                module.size, module.scale_factor = None, 2.0
        for module in self._frozen():
            module.requires_grad_(requires_grad=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The pyramid.

        Args:
            images: (B, 3, H, W); H and W are multiples of 128.

        Returns:
            Five maps (B, C, H / stride, W / stride).
        """
        return tuple(self.fpn(self.backbone(images)))

    def train(self, mode: bool = True) -> EfficientDetFeatures:
        """Frozen stages keep their normalisation."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        first = [self.backbone.conv_stem, self.backbone.bn1]
        return [*first, *list(self.backbone.blocks)[: self.frozen_stages]]


@MODELS.register_module()
class EfficientDetHead(AnchorHead):  # type: ignore[misc]
    """EfficientDet's two heads, shared by all levels but for their normalisation.

    Args:
        num_classes: Number of classes.
        name: The config of effdet that the features are of.
        init_cfg: How to initialise; effdet's own weights fit, but for those of the classes.
        **settings: Those of mmdet's ``AnchorHead``.

    Raises:
        BackendError: effdet is not installed.
    """

    def __init__(self, num_classes: int, name: str, init_cfg: Any = None, **settings: Any) -> None:
        self.name = name
        super().__init__(
            num_classes=num_classes,
            in_channels=_config(name).fpn_channels,
            init_cfg=init_cfg,
            **settings,
        )

    def _init_layers(self) -> None:
        network = _network(
            self.name,
            num_classes=self.cls_out_channels,
            # effdet counts anchors as scales times ratios.
            num_scales=self.num_base_priors,
            aspect_ratios=[(1.0, 1.0)],
        )
        self.class_net, self.box_net = network.class_net, network.box_net

    def forward(self, features: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of the classes and offsets of the boxes.

        Args:
            features: One map (B, C, H, W) a level.

        Returns:
            For each level (B, anchors * classes, H, W) and (B, anchors * 4, H, W); the offsets are
            x, y, w, h.
        """
        offsets = [_x_first(level) for level in self.box_net(list(features))]
        return self.class_net(list(features)), offsets


def _x_first(offsets: Tensor) -> Tensor:
    """From y, x, h, w, effdet's order, to x, y, w, h."""
    batch, channels, height, width = offsets.shape
    of_anchors = offsets.view(batch, channels // 4, 4, height, width)
    return of_anchors[:, :, [1, 0, 3, 2]].reshape(batch, channels, height, width)


def _config(name: str) -> Any:
    try:
        from effdet import get_efficientdet_config
    except ImportError as error:
        raise BackendError(
            f"EfficientDet needs effdet, which is not installed; {how_to_install('effdet')}"
        ) from error
    return get_efficientdet_config(name)


def _network(name: str, **changes: Any) -> Any:
    """A network of effdet, initialised as effdet does, without official weights."""
    config = _config(name)
    from effdet import EfficientDet

    config.update(changes)
    return EfficientDet(config, pretrained_backbone=False)
