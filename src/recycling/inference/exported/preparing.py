"""From an image to the network's input, as in training: resized, normalised, padded."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from recycling.inference.exported.facts import Exported


def resized(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image whose longer side is `side`, its proportions kept.

    Args:
        image: (H, W, 3).
        side: Pixels.

    >>> resized(np.zeros((30, 60, 3), np.uint8), 112).shape
    (56, 112, 3)
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = int(width * scale + 0.5), int(height * scale + 0.5)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


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
