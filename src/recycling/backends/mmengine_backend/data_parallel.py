"""The wrapper of a network that several processes train."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS

from recycling.backends.mmengine_backend.memory_format import set_memory_format


@MODEL_WRAPPERS.register_module()
class FastestFormatDataParallel(MMDistributedDataParallel):  # type: ignore[misc]
    """mmengine's own, around weights in the order that they keep.

    torch remembers the order of each weight when it is wrapped, and sums up gradients wrongly where
    it changes afterwards.

    Args:
        module: The network.
        channels_last: As the setting; None for this machine's fastest order.
        kwargs: As mmengine's.
    """

    def __init__(
        self, module: torch.nn.Module, channels_last: bool | None = None, **kwargs: Any
    ) -> None:
        set_memory_format(module, channels_last=channels_last)
        super().__init__(module, **kwargs)
