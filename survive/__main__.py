"""``python -m survive``: stop runs at hundreds of points, and see what the next ones make of it."""

from __future__ import annotations

import os

# Before numpy and torch are imported; threads would not live on in a process that is forked.
os.environ |= {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "COLUMNS": "160"}

import argparse
import sys
import tempfile
from pathlib import Path

from survive.campaign import refer, try_points
from survive.chain import cut_chain, demo
from survive.mechanisms import MECHANISMS
from survive.points import draw
from survive.processes import import_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m survive", description=__doc__)
    parser.add_argument("--points", type=int, default=200, help="of the cut chain")
    parser.add_argument("--demo", type=int, default=0, help="points of the demo")
    parser.add_argument("--seed", type=int, default=0, help="of the points")
    parser.add_argument(
        "--without", choices=MECHANISMS, help="take a mechanism out: the campaign has to fail"
    )
    parser.add_argument("--folder", type=Path, help="where it runs; a new one in the system's own")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="survive-"))
    folder = folder.resolve()
    import_all()
    n_bad = 0
    for name, build, n_points in (("cut", cut_chain, options.points), ("demo", demo, options.demo)):
        if not n_points:
            continue
        reference = refer(folder / name, build)
        print(f"{name}: {len(reference.outputs)} outputs, {reference.seconds:.0f} s", flush=True)
        stops = draw(reference.events, n_points, options.seed)
        n_bad += try_points(reference, stops, folder / name, options.without)
    print(f"{n_bad} points ended otherwise than a run that is left alone; see {folder}")
    return int(n_bad > 0)


if __name__ == "__main__":
    sys.exit(main())
