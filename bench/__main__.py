"""``python -m bench NAME``: run a benchmark and print its table."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

BENCHMARKS = (
    "wbf",
    "first_call",
    "soft_nms",
    "scoring",
    "calibration",
    "hard_vote",
    "soft_vote",
    "submission",
    "coco",
    "image_checks",
    "splitting",
    "overhead",
    "loaders",
    "viewer",
    "tiles",
    "serving",
    "cluster",
)

LONG = ("worlds", "samples", "scale")
"""Those that take hours, which `all` leaves out."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=(*BENCHMARKS, *LONG, "all"))
    parser.add_argument("--quick", action="store_true", help="a small input, to see that it works")
    arguments = parser.parse_args()
    for name in BENCHMARKS if arguments.name == "all" else (arguments.name,):
        run: Callable[..., object] = import_module(f"bench.{name}").run
        run(quick=arguments.quick)


if __name__ == "__main__":
    main()
