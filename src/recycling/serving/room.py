"""How many pixels of images are in memory, of all requests together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recycling.serving.core import Refused


class Room:
    """Room for decoded images, from when they are decoded until their request is answered.

    Args:
        pixels: How many there is room for.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels, self._taken = pixels, 0

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Take room within the block. One thread may ask, that of the event loop.

        Args:
            pixels: Of the images of a request.

        Raises:
            Refused: There is too little (503).

        >>> room = Room(5)
        >>> with room.taken(3), room.taken(3):
        ...     pass
        Traceback (most recent call last):
        ...
        recycling.serving.core.Refused: 3 pixels wait already, of 5 at most; try again later
        >>> with room.taken(5):
        ...     pass
        """
        if self._taken + pixels > self.pixels:
            many = f"{self._taken:,} pixels wait already, of {self.pixels:,} at most"
            raise Refused(503, f"{many}; try again later", 1)
        self._taken += pixels
        try:
            yield
        finally:
            self._taken -= pixels
