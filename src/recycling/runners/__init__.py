"""How nodes are run: what one of them fails at stops no other that does not need it."""

from recycling.runners.keep_going import (
    KeepGoingRunner,
    KeepGoingThreadRunner,
    NodesFailedError,
    RunStoppedError,
)

__all__ = ["KeepGoingRunner", "KeepGoingThreadRunner", "NodesFailedError", "RunStoppedError"]
