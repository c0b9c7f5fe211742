"""What becomes of memory that a training frees."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Names of glibc's mallopt(3)."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside, freed memory stays with the process, for the next step; at the end it is given back.

    glibc hands blocks above 32 MiB back at once. The maps of a detector are as large, and each
    step would have the kernel clear their pages anew: of one on processors a tenth of its time
    (`bench overhead`). Outside of the main thread blocks above 64 MiB are still handed back.
    Under another allocator nothing changes.

    Example:
        >>> import numpy as np
        >>> with freed_memory_kept():
        ...     for _ in range(3):
        ...         image = np.ones((8, 1024, 1024))
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(MMAP_MAX, 0)
    libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        # The default number, and what glibc's own thresholds rise to.
        libc.mallopt(MMAP_MAX, 65536)
        libc.mallopt(MMAP_THRESHOLD, 32 * 1024**2)
        libc.mallopt(TRIM_THRESHOLD, 64 * 1024**2)
        libc.malloc_trim(0)
