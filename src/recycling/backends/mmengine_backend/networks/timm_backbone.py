"""Networks of timm (Wightman, 2019) as backbones, for classifiers, detectors and segmenters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from recycling.backends.core import BackendError
from recycling.backends.libraries import how_to_install


@MODELS.register_module()
class TimmBackbone(BaseModule):  # type: ignore[misc]
    """One of timm's networks without its classes.

    Its weights are named as there, behind ``timm_model.``, as in mmpretrain's ``TIMMBackbone``.

    Args:
        model_name: Its name in timm, such as ``tf_efficientnet_lite0``.
        strides: Of the maps that it gives, finest first; None gives one map, what timm's own
            classes are told by.
        frozen_stages: First stages that do not learn: up to its first map, its second, ...; -1
            lets all learn.
        init_cfg: How to initialise; see mmengine.

    Attributes:
        channels: Those of the maps.

    Raises:
        BackendError: timm is not installed, has no such network, or the network has no such maps.
    """

    def __init__(
        self,
        model_name: str,
        strides: Sequence[int] | None = None,
        frozen_stages: int = -1,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.timm_model = _network(model_name)
        stages = self.timm_model.feature_info
        self.stages = [stage["module"] for stage in stages]
        if frozen_stages > len(stages):
            raise BackendError(
                f"freeze is {frozen_stages}, but {model_name} has {len(stages)} stages; set it so"
            )
        self.frozen_stages = frozen_stages
        self.maps: list[int] | None = None
        if strides is None:
            # Some widen their last map before they average it, others after.
            self.channels = [self.timm_model.head_hidden_size or self.timm_model.num_features]
        else:
            last = {stage["reduction"]: number for number, stage in enumerate(stages)}
            if not set(strides) <= set(last):
                raise BackendError(
                    f"backbone {model_name!r} has maps of strides {', '.join(map(str, last))}, and "
                    f"{', '.join(map(str, strides))} are asked for; choose another backbone"
                )
            self.maps = [last[stride] for stride in strides]
            self.channels = [int(stages[number]["num_chs"]) for number in self.maps]
            self.timm_model.prune_intermediate_layers(self.maps, prune_norm=True, prune_head=True)
        for module in self._frozen():
            for weights in module.parameters(recurse=False):
                weights.requires_grad = False

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The maps of images.

        Args:
            images: (B, 3, H, W).

        Returns:
            Maps (B, C_i, H / stride_i, W / stride_i).
        """
        if self.maps is None:
            return (self.timm_model(images),)
        return tuple(
            self.timm_model.forward_intermediates(
                images, indices=self.maps, output_fmt="NCHW", intermediates_only=True
            )
        )

    def train(self, mode: bool = True) -> TimmBackbone:
        """Frozen stages keep their normalisation."""
        super().train(mode)
        for module in self._frozen():
            module.training = False
        return self

    def _frozen(self) -> Iterator[nn.Module]:
        """The modules of frozen stages, and all that timm lists before them."""
        if self.frozen_stages < 1:
            return
        modules = list(self.timm_model.named_modules())
        stage = self.stages[self.frozen_stages - 1]
        last = max(n for n, (name, _) in enumerate(modules) if f"{name}.".startswith(f"{stage}."))
        yield from (module for _, module in modules[: last + 1])


def _network(name: str) -> Any:
    """A network of timm's own, without weights and without classes."""
    try:
        import timm
    except ImportError as error:
        raise BackendError(
            f"backbone {name!r} needs timm, which is not installed; {how_to_install('timm')}"
        ) from error
    # Else timm would fetch what a name with a scheme leads to.
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.partition('.')[0][:12]}*")[:5])
        raise BackendError(
            f"timm has no network {name!r}{f'; it has {near}' if near else ''}; see "
            "timm.list_models()"
        )
    try:
        return timm.create_model(name, num_classes=0, global_pool="")
    except AssertionError as error:
        raise BackendError(f"backbone {name!r}: timm: {error}; choose another one") from error
