"""The main job without Kedro's command: ``python -m recycling``, as a wheel is run.

It takes the options of ``kedro run``, and makes ``data/`` in the folder that it is started in.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*args: Any, **kwargs: Any) -> Any:
    """Run the pipelines, as ``kedro run`` does."""
    package = Path(__file__).parent.name
    configure_project(package)
    if not (Path("conf/logging.yml").exists() or "KEDRO_LOGGING_CONFIG" in os.environ):
        # By default Kedro tells of each dataset that is loaded and saved.
        logging.getLogger("kedro").setLevel(logging.WARNING)
    kwargs["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command(package)(*args, **kwargs)


if __name__ == "__main__":
    main()
