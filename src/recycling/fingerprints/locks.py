"""Two runs at once: an output is written by one of them, and read by none meanwhile."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

logger = logging.getLogger(__name__)


class Locks:
    """Locks on outputs that a process, or one of its threads, holds together.

    The system takes them from a process that ends, whichever way it ends.

    Args:
        folder: Where the files lie that are locked; it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[int] = []

    def acquire(self, exclusive: Mapping[str, bool]) -> None:
        """Lock outputs, and wait for those that another run has; which one is said.

        All take them in the order of their names, so that none waits for one that waits for it.

        Args:
            exclusive: By output, whether it is written, or read as others may at the same time.
        """
        for name in sorted(exclusive):
            kind = fcntl.LOCK_EX if exclusive[name] else fcntl.LOCK_SH
            with suppress(OSError):  # a folder that is only read, or a file system without locks
                self._folder.mkdir(parents=True, exist_ok=True)
                path = self._folder / f"{quote(name, safe='')}.lock"
                self._held.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
                self._lock(self._held[-1], kind, name)

    def release(self) -> None:
        """Let others have them."""
        while self._held:
            descriptor = self._held.pop()
            # Closing is not enough where a process that was forked meanwhile holds it open.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    @staticmethod
    def _lock(descriptor: int, kind: int, name: str) -> None:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            does = "writes or reads" if kind == fcntl.LOCK_EX else "writes"
            logger.warning("waits for %s, which %s %s", name, _holder(descriptor), does)
            fcntl.flock(descriptor, kind)


def _holder(descriptor: int) -> str:
    """The process that has locked a file, as far as the system tells."""
    inode = str(os.fstat(descriptor).st_ino)
    with suppress(OSError, IndexError):
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return f"process {words[4]}"
    return "another process"
