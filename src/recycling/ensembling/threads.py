"""How many threads a kernel runs on, and that only one kernel runs at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from types import FunctionType
from typing import Any

# Without OpenMP or TBB numba falls back on a layer that ends the process when two threads enter
# it, as they would under Kedro's ThreadRunner.
_one_kernel_at_a_time = Lock()


def for_one_thread(kernel: Any, name: str) -> Any:
    """A parallel kernel compiled for one thread, which takes half the time to compile.

    Args:
        kernel: What ``njit(parallel=True)`` made.
        name: The copy's name, its own because numba's cache tells functions apart by it.
    """
    from numba import njit

    copy = FunctionType(kernel.py_func.__code__, kernel.py_func.__globals__, name)
    copy.__qualname__ = name
    return njit(cache=True)(copy)


@contextmanager
def kernel_threads(*, worthwhile: bool) -> Iterator[None]:
    """Run a parallel kernel, alone, on all of numba's threads or on one.

    Args:
        worthwhile: Whether the work is large enough for several threads; waking them takes longer
            than a small kernel, and much longer where other programs want the processor.
    """
    import numba

    with _one_kernel_at_a_time:
        allowed = numba.get_num_threads()
        numba.set_num_threads(allowed if worthwhile else 1)
        try:
            yield
        finally:
            numba.set_num_threads(allowed)
