"""``python -m fuzz NAME --minutes 10``: feed mutated inputs to a target, and say what was found."""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
from importlib import import_module

TARGETS = (
    "coco",
    "pascal_voc",
    "yolo",
    "submissions",
    "class_csv",
    "label_studio",
    "models_yml",
    "checkpoints",
    "addresses",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("name", choices=(*TARGETS, "all"))
    parser.add_argument("--minutes", type=float, default=10, help="for each target")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(2**32), help="to repeat a run"
    )
    options = parser.parse_args()
    if options.name == "all":
        # A process each: one that crashes leaves the others alone.
        rest = ["--minutes", str(options.minutes), "--seed", str(options.seed)]
        commands = [[sys.executable, "-m", "fuzz", name, *rest] for name in TARGETS]
        return max(abs(subprocess.run(command, check=False).returncode) for command in commands)
    from fuzz.core import run

    return run(import_module(f"fuzz.{options.name}").target(), options.minutes, options.seed)


if __name__ == "__main__":
    sys.exit(main())
