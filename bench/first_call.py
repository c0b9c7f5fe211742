"""The first call of a compiled function: with nothing compiled, and in later processes."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from statistics import median

from rich.console import Console
from rich.table import Column, Table

from bench.comparison import in_own_process
from recycling.ensembling.warm_up import small_calls

COLD_TARGET, LATER_TARGET = 2.5, 0.3
LATER = 5


def run(*, quick: bool) -> None:
    table = Table(
        Column("what", no_wrap=True),
        "imports s",
        "cold s",
        "target",
        "later s",
        "target",
        "ratio",
        "cold + imports",
        "later + imports",
        title="the first call in a process, on one image; numba's cache is kept on disk",
    )
    for name in list(small_calls())[: 1 if quick else None]:
        with tempfile.TemporaryDirectory() as cache:
            place = {"NUMBA_CACHE_DIR": cache}
            (cold_libraries, cold), *later = (
                in_own_process("bench.first_call", name, environment=place)
                for _ in range(2 if quick else 1 + LATER)
            )
        libraries, warm = (median(values) for values in zip(*later, strict=True))
        together = median(sum(one) for one in later)
        table.add_row(
            name,
            f"{libraries:.2f}",
            f"{cold:.2f}",
            f"{COLD_TARGET:g}",
            f"{warm:.2f}",
            f"{LATER_TARGET:g}",
            f"{cold / warm:.0f}x",
            f"{cold_libraries + cold:.2f}",
            f"{together:.2f}",
        )
    table.caption = f"a process each, the median of {LATER} later ones; imports: numba and scipy"
    Console(width=110).print(table)


def measure(name: str) -> tuple[float, float]:
    """Seconds that this process takes to import what numba needs, and for the call then."""
    call = small_calls()[name]
    start = time.perf_counter()
    import numba
    import scipy.linalg  # which numba imports for its own, once it loads what it has compiled

    assert numba, scipy
    ready = time.perf_counter()
    call()
    return ready - start, time.perf_counter() - ready


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
