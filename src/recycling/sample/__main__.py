"""``python -m recycling.sample FOLDER [--seed 0] [--force]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recycling.sample.core import SampleError, SampleSettings, generate_sample


def main(arguments: list[str] | None = None) -> int:
    """Make the sample set from the command line; 0 if it is there afterwards, else 2."""
    parser = argparse.ArgumentParser(
        prog="python -m recycling.sample", description="Make the embedded sample set."
    )
    parser.add_argument("folder", type=Path, help="where it goes")
    parser.add_argument("--seed", type=int, default=SampleSettings.seed, help="default: 0")
    parser.add_argument("--force", action="store_true", help="replace a sample that is there")
    options = parser.parse_args(arguments)
    try:
        made = generate_sample(
            options.folder, SampleSettings(seed=options.seed), force=options.force
        )
    except (SampleError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if made:
        print(f"{options.folder}: sample set made")
    else:
        print(f"{options.folder}: the sample set is there already, with the same settings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
