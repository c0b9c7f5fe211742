"""A process of its own, for what would spoil that of the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any


def in_a_process(act: Callable[[], Any]) -> int:
    """Do something in a process of its own; how that ended, as `subprocess` says it."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
