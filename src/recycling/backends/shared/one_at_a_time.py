"""One thread at a time has a library that trains: what it sets is the whole process's."""

from __future__ import annotations

import threading

ONE_AT_A_TIME = threading.RLock()
"""Held while a library is in use, by every backend that this project has.

Standard output, warnings, loggers, the default scope of mmengine, torch's threads and whether it is
deterministic are set for a while and then put back. Two threads would put back what the other one
had set. The same thread may enter again: a training predicts, too.
"""
