"""Decoded images, and crops of them, that this process keeps."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from recycling.backends.core import BackendError
from recycling.backends.shared.image_cache import ImageCache

CACHE = ImageCache()
"""Of this process, for one training or prediction."""


def decoded(path: str) -> NDArray[np.uint8]:
    """An image from its file, in BGR, (H, W, 3).

    Raises:
        BackendError: The file is no image.
    """
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise BackendError(f"{path}: not an image that can be read; run data_cleaning")
    return np.asarray(image, dtype=np.uint8)


@lru_cache(maxsize=1)
def last_decoded(path: str, modified: int) -> NDArray[np.uint8]:
    """As `decoded`, for crops: those of one image often follow one another.

    Args:
        path: The file.
        modified: When it was written, so that a changed file is read again.
    """
    return decoded(path)
