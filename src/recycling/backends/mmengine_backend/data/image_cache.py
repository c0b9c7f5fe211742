"""Decoded images, and crops of them, that this process keeps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recycling.annotations.images.decoding import UnreadableImageError, image_size, read_image
from recycling.backends.core import BackendError
from recycling.backends.shared.image_cache import ImageCache

CACHE = ImageCache()
"""Of this process, for one training or prediction."""


def decoded(path: str, halvings: int = 0) -> NDArray[np.uint8]:
    """An image from its file, upright, in BGR, (H, W, 3).

    Args:
        path: The file.
        halvings: How often its sides are halved.

    Raises:
        BackendError: The file is no image.
    """
    import cv2

    try:
        # Fifty times as fast as to copy the reversed array.
        return np.asarray(cv2.cvtColor(read_image(path, halvings), cv2.COLOR_RGB2BGR), np.uint8)
    except UnreadableImageError as error:
        raise BackendError(f"{error}; run data_cleaning") from error


@lru_cache(maxsize=1)
def last_decoded(path: str, modified: int, halvings: int = 0) -> NDArray[np.uint8]:
    """As `decoded`, for crops: those of one image often follow one another.

    Args:
        path: The file.
        modified: When it was written, so that a changed file is read again.
        halvings: As of `decoded`.
    """
    return decoded(path, halvings)


@lru_cache(maxsize=1 << 16)
def stored_size(path: str, modified: int) -> tuple[int, int] | None:
    """Width and height of an image, upright; None where its header cannot be read.

    Args:
        path: The file.
        modified: As of `last_decoded`.
    """
    return image_size(path)
