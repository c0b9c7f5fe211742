"""The setting ``backbone_rate``: a backbone with weights learns more slowly than what is new."""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from recycling.backends.core import BackendError


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BackboneRate(DefaultOptimWrapperConstructor):  # type: ignore[misc]
    """Builds the optimiser as the recipe has it, then lowers the rates of the backbone.

    The factor is ``backbone_rate`` of `paramwise_cfg`; it takes the place of the recipe's own
    ``lr_mult`` of a parameter. The key ``backbone`` of mmengine's own ``custom_keys`` would take
    the place of what a recipe says of its norms and biases.
    """

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = "",
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Add a group for each parameter of a module.

        Raises:
            BackendError: The network has no backbone.
        """
        super().add_params(params, module, prefix, is_dcn_module)
        if prefix:
            return  # of a part of the network; mmengine comes back here for each
        rate = self.paramwise_cfg["backbone_rate"]
        of_backbone = _of_backbone(module)
        if not of_backbone:
            raise BackendError(
                f"optimizer.backbone_rate: {type(module).__name__} has no backbone of its own; "
                "remove backbone_rate"
            )
        for group in params:
            if id(group["params"][0]) in of_backbone:
                # With `lr_mult`, `lr` is the product of the recipe's factor; else that of biases.
                own = self.base_lr if "lr_mult" in group else group.get("lr", self.base_lr)
                group["lr"] = rate * own


def _of_backbone(network: nn.Module) -> set[int]:
    """The ids of the parameters of what is called ``backbone``."""
    found = {
        name: part for name, part in network.named_modules() if f".{name}".endswith(".backbone")
    }
    return {
        id(parameter)
        for name, part in found.items()
        # EfficientDet's `backbone` is a `backbone` and its pyramid.
        if not any(other.startswith(f"{name}.") for other in found)
        for parameter in part.parameters()
    }
