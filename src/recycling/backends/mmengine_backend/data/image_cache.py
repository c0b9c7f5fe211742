"""Decoded images, and crops of them, in memory, within a limit."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from recycling.backends.core import BackendError

Key = tuple[Hashable, ...]


@dataclass
class ImageCache:
    """Keeps images as long as they are asked for; each step takes the same time.

    In a training each image is read once an epoch, in an order that is drawn anew, and so comes
    back within twice as many reads as there are images. A cache that is too small and always
    drops what was not used for longest drops most images before they come back; this one keeps
    those that it has until they have not come back for so long, and thus finds the share that it
    holds.

    Attributes:
        images: By path, time of modification and part, the longest unused first; with the number
            of the read that last asked for it.
        n_bytes: What they take.
        n_reads: How often an image was asked for.
        n_hits: How often it was there.
    """

    images: OrderedDict[Key, tuple[NDArray[np.uint8], int]] = field(default_factory=OrderedDict)
    n_bytes: int = 0
    n_reads: int = 0
    n_hits: int = 0
    seen: set[Key] = field(default_factory=set)

    def read(self, path: str, limit: int) -> NDArray[np.uint8]:
        """An image in BGR, (H, W, 3); the array is shared, so do not write to it.

        Args:
            path: The file.
            limit: Bytes to keep at most; 0 keeps nothing.

        Raises:
            BackendError: The file is missing or is no image.
        """
        return self.get(path, (), limit, lambda: decoded(path))

    def get(
        self, path: str, part: Key, limit: int, make: Callable[[], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """What is made of a file; the array is shared, so do not write to it.

        Args:
            path: The file.
            part: What of it: with the file, all that the result depends on.
            limit: Bytes to keep at most; 0 keeps nothing.
            make: Makes it where it is not there.

        Raises:
            BackendError: The file is missing, or as `make` does.
        """
        try:
            key = (path, os.stat(path).st_mtime_ns, *part)  # noqa: PTH116 - hot path
        except OSError as error:
            raise BackendError(f"{path}: {error.strerror}; check the image folder") from error
        self.n_reads += 1
        self.seen.add((path, *part))
        if key in self.images:
            self.n_hits += 1
            image, _ = self.images[key]
            self.images[key] = (image, self.n_reads)
            self.images.move_to_end(key)
            self._shrink(limit)
            return image
        image = make()
        self._shrink(limit)
        self._make_room(image.nbytes, limit)
        if self.n_bytes + image.nbytes <= limit:
            self.images[key] = (image, self.n_reads)
            self.n_bytes += image.nbytes
        return image

    def clear(self) -> None:
        """Keep nothing of what is there."""
        self._shrink(0)
        self.seen.clear()

    def _shrink(self, limit: int) -> None:
        while self.n_bytes > limit:
            self._drop_oldest()

    def _make_room(self, n_bytes: int, limit: int) -> None:
        """Drop what has not come back for too long."""
        while self.images and self.n_bytes + n_bytes > limit:
            _, last_read = next(iter(self.images.values()))
            if self.n_reads - last_read <= 2 * len(self.seen):
                return
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, (image, _) = self.images.popitem(last=False)
        self.n_bytes -= image.nbytes


def decoded(path: str) -> NDArray[np.uint8]:
    """An image from its file, in BGR, (H, W, 3).

    Raises:
        BackendError: The file is no image.
    """
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise BackendError(f"{path}: not an image that can be read; run data_cleaning")
    return np.asarray(image, dtype=np.uint8)


IMAGES = ImageCache()
"""Of this process: a small data set is decoded once for all models that it trains."""

CROPS = ImageCache()
"""What a classifier sees of images: fewer bytes than these, and all that it asks for again."""
