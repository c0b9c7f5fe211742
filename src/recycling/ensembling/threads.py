"""One parallel kernel at a time."""

from threading import Lock

kernel_lock = Lock()
"""Held while a parallel kernel runs: without OpenMP or TBB, numba falls back on a layer that ends
the process when two threads enter it (Kedro's ThreadRunner would)."""
