"""Arrays in memory, within a limit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass
class KeptArrays:
    """Arrays in memory as long as they fit; what is there stays.

    Images are gone through again and again, in a training in an order that is drawn anew. A cache
    that drops what was not used for longest drops most images before they come back; this one finds
    the share that it holds.

    Attributes:
        arrays: By what they are of.
        n_bytes: What they take.
    """

    arrays: dict[Hashable, NDArray[Any]] = field(default_factory=dict)
    n_bytes: int = 0

    def get(self, key: Hashable, limit: int, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """An array, which is shared: do not write to it.

        Args:
            key: What it is of: all that it depends on.
            limit: Bytes to keep at most; 0 keeps nothing.
            make: Makes it where it is not there.

        >>> import numpy as np
        >>> kept = KeptArrays()
        >>> for _ in range(2):
        ...     array = kept.get("a", 100, lambda: print("made") or np.zeros(9, np.uint8))
        made
        """
        if key in self.arrays:
            return self.arrays[key]
        array = make()
        if self.n_bytes + array.nbytes <= limit:
            self.arrays[key] = array
            self.n_bytes += array.nbytes
        return array

    def clear(self) -> None:
        """Keep nothing of what is there."""
        self.arrays.clear()
        self.n_bytes = 0
