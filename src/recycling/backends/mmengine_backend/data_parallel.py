"""The wrapper of a network that several processes train."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS

from recycling.backends.mmengine_backend.memory_format import use_fastest_memory_format


@MODEL_WRAPPERS.register_module()
class FastestFormatDataParallel(MMDistributedDataParallel):  # type: ignore[misc]
    """mmengine's own, around weights in this machine's fastest order.

    torch remembers the order of each weight when it is wrapped, and sums up gradients wrongly where
    it changes afterwards.

    Args:
        module: The network.
        kwargs: As mmengine's.
    """

    def __init__(self, module: torch.nn.Module, **kwargs: Any) -> None:
        use_fastest_memory_format(module)
        super().__init__(module, **kwargs)
