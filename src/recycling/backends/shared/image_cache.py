"""Images in memory, within a limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recycling.backends.core import BackendError
from recycling.kept_arrays import KeptArrays

Key = tuple[Hashable, ...]


@dataclass
class ImageCache(KeptArrays):
    """What is made of image files, by path, time of modification and part."""

    def of_file(
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
        return self.get((path, modified(path), *part), limit, make)


def modified(path: str) -> int:
    """When an image file was written, nanoseconds.

    Raises:
        BackendError: It is missing.
    """
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - hot path
    except OSError as error:
        raise BackendError(f"{path}: {error.strerror}; check the image folder") from error
