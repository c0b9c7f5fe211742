"""``python joining.py RUNS``: another node, which joins the trainings in a folder until Ctrl-C."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from recycling.backends.mmengine_backend.devices import join
from recycling.stopping import stops_when_asked

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with stops_when_asked():
        join(Path(sys.argv[1]))
