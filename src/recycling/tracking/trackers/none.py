"""No tracker."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from recycling.tracking.core import TRACKERS, Entry, Tracking


class NoTracking(Tracking):
    """Nobody: manifests alone."""

    to: Literal["none"] = "none"


@TRACKERS.register("none", NoTracking)
def track(entries: Iterable[Entry], settings: NoTracking, folder: Path) -> None:
    """Write nothing."""
