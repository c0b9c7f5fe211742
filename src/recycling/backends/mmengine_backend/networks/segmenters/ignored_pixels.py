"""Segmenters that cannot leave out the pixels that are marked to be ignored."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger(__name__)

OF_WHOLE_MASKS = frozenset({"Mask2FormerHead", "MaskFormerHead"})
"""Heads that learn a mask of each class: what it does not cover is not that class."""


def say_what_cannot_ignore(network: Any, name: str) -> None:
    """Say on one line that a segmenter learns from ignored pixels that they are no class.

    Args:
        network: A segmenter of mmseg.
        name: What the model is called in messages.
    """
    heads = {kind.__name__ for kind in type(network.decode_head).__mro__} & OF_WHOLE_MASKS
    if heads:
        logger.warning(
            "%s: %s learns that ignored pixels (crowds, or what is unsure) are of no class; for a "
            "network that leaves them out, take another recipe, such as upernet_swin_large",
            name,
            min(heads),
        )
