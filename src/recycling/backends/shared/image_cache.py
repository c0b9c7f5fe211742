"""Images in memory, within a limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recycling.backends.core import BackendError

Key = tuple[Hashable, ...]


@dataclass
class ImageCache:
    """Images in memory as long as they fit; what is there stays.

    In a training each image is read once an epoch, in an order that is drawn anew. A cache that
    drops what was not used for longest drops most images before they come back; this one finds the
    share that it holds.

    Attributes:
        images: By path, time of modification and part.
        n_bytes: What they take.
    """

    images: dict[Key, NDArray[np.uint8]] = field(default_factory=dict)
    n_bytes: int = 0

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
        if key in self.images:
            return self.images[key]
        image = make()
        if self.n_bytes + image.nbytes <= limit:
            self.images[key] = image
            self.n_bytes += image.nbytes
        return image

    def clear(self) -> None:
        """Keep nothing of what is there."""
        self.images.clear()
        self.n_bytes = 0
