"""How many pixels of images, and bytes of requests, are in memory, of all requests together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recycling.serving.core import Refused


class Room:
    """Room for what requests bring, from when it is in memory until they are answered.

    Args:
        most: How much there is room for.
        what: What is counted, for messages.
    """

    def __init__(self, most: int, what: str) -> None:
        self.most, self.what, self._taken = most, what, 0

    @contextmanager
    def taken(self, n: int = 0) -> Iterator[Callable[[int], None]]:
        """Take room within the block. One thread may ask, that of the event loop.

        Args:
            n: What a request takes at first.

        Yields:
            What takes more for it.

        Raises:
            Refused: There is too little (503).

        >>> room = Room(5, "pixels")
        >>> with room.taken(3), room.taken(3):
        ...     pass
        Traceback (most recent call last):
        ...
        recycling.serving.core.Refused: 3 pixels wait already, of 5 at most; try again later
        >>> with room.taken(3) as take:
        ...     take(2)
        """
        own = 0

        def take(more: int) -> None:
            nonlocal own
            if self._taken + more > self.most:
                many = f"{self._taken:,} {self.what} wait already, of {self.most:,} at most"
                raise Refused(503, f"{many}; try again later", 1)
            self._taken += more
            own += more

        try:
            take(n)
            yield take
        finally:
            self._taken -= own
