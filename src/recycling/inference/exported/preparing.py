"""From images of one size to the network's input, as in training: normalised and padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recycling.inference.exported.facts import Exported


def batch_of(images: Sequence[NDArray[np.uint8]], exported: Exported) -> NDArray[np.float32]:
    """What a network takes of images of one size.

    Args:
        images: Each (H, W, 3) RGB, as large as the network sees them.
        exported: Says how they are normalised and padded.

    Returns:
        (N, 3, height, width).
    """
    height, width = images[0].shape[:2]
    shape = (len(images), 3, _up(height, exported.pad_to), _up(width, exported.pad_to))
    batch = np.full(shape, exported.pad_value, np.float32)
    mean, std = np.array(exported.mean, np.float32), np.array(exported.std, np.float32)
    for row, image in enumerate(images):
        ordered = image if exported.channels == "RGB" else image[..., ::-1]
        normalised = (ordered.astype(np.float32) - mean) / std
        batch[row, :, :height, :width] = normalised.transpose(2, 0, 1)
    return batch


def _up(length: int, step: int) -> int:
    return -(-length // step) * step
