"""Batch norms that keep their statistics, folded into the convolutions before them.

A norm that keeps its statistics is a scale and a shift for each channel, and so is part of the
convolution whose output it sees (Jacob et al., 2018, section 3.2): a step takes less time and
memory. What is kept of a training has its norms again, so that any program reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from recycling.backends.core import BackendError
from recycling.errors import listed

FLOAT_NOISE = 1e-3
"""Most that a map may change, as a share of its greatest number; 1e-5 is usual."""


class FoldedNorm(nn.Sequential):
    """What is left of a norm: the activation that some of timm's hold.

    Args:
        norm: The norm.
        convolution: The name of the convolution beside it that it was folded into.
        has_bias: Whether that had a bias before.
    """

    def __init__(self, norm: _BatchNorm, convolution: str, *, has_bias: bool) -> None:
        super().__init__(*(own for name in ("drop", "act") if (own := getattr(norm, name, None))))
        self.eps = norm.eps
        self.convolution = convolution
        self.has_bias = has_bias


def fold_norms(network: Any, name: str) -> None:
    """Fold all batch norms of a network's backbone.

    Args:
        network: A network of an mm library, with the weights that it starts from; changed in place.
        name: What the model is called in a message.

    Raises:
        BackendError: It has no backbone, one of its norms follows no convolution, or the backbone
            sees something else when they are folded.
    """
    backbone = getattr(network, "backbone", None)
    if backbone is None:
        raise BackendError(f"{name}: cannot honour 'fold_norms': no backbone of its own; remove it")
    learns = backbone.training
    backbone.eval()
    before = _maps(backbone)
    for module in list(backbone.modules()):
        _fold_children(module)
    left = [key for key, module in backbone.named_modules() if isinstance(module, _BatchNorm)]
    if left:
        raise BackendError(
            f"{name}: cannot honour 'fold_norms': {len(left)} batch norms of its backbone follow "
            f"no convolution: {listed(left, 3)}; remove it"
        )
    for own, other in zip(before, _maps(backbone), strict=True):
        if (own - other).abs().max() > FLOAT_NOISE * own.abs().max():
            raise BackendError(
                f"{name}: cannot honour 'fold_norms': the backbone sees something else with them "
                "folded, as not all follow the convolution before them; remove it"
            )
    backbone.train(learns)


def unfolded(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a network with folded norms as those of one that has them.

    The norms scale by one, and shift by what the convolution's bias has become.

    Args:
        network: The network, of which the folded norms are looked at; without any all stays.
        weights: Its state dict, of now or before.
    """
    state = dict(weights)
    for norm, module in network.named_modules():
        if not isinstance(module, FoldedNorm):
            continue
        parent = norm.rpartition(".")[0]
        bias_of = ".".join(part for part in (parent, module.convolution, "bias") if part)
        bias = state.pop(bias_of)
        if module.has_bias:
            state[bias_of] = torch.zeros_like(bias)
        state |= {
            f"{norm}.weight": torch.ones_like(bias),
            f"{norm}.bias": bias,
            f"{norm}.running_mean": torch.zeros_like(bias),
            f"{norm}.running_var": torch.full_like(bias, 1 - module.eps),
            f"{norm}.num_batches_tracked": torch.tensor(0),
        }
    return state


def _fold_children(module: nn.Module) -> None:
    """Fold each norm among a module's children into the convolution before it."""
    before: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            before = name, child
        elif isinstance(child, _BatchNorm) and before is not None:
            module._modules[name] = _folded(*before, child)
            before = None


def _folded(name: str, convolution: nn.Conv2d, norm: _BatchNorm) -> FoldedNorm:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    left = FoldedNorm(norm, name, has_bias=convolution.bias is not None)
    learns = convolution.weight.requires_grad
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    convolution.weight = nn.Parameter(weight.detach(), requires_grad=learns)
    convolution.bias = nn.Parameter(bias.detach(), requires_grad=learns)
    return left


@torch.no_grad()
def _maps(backbone: Any) -> list[Tensor]:
    """What a backbone sees in noise."""
    where = next(backbone.parameters()).device
    noise = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    found = backbone(noise.to(where))
    return list(found) if isinstance(found, (list, tuple)) else [found]
