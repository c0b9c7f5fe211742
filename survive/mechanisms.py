"""What makes runs survive, taken out: without any one of these the campaign has to fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recycling import files


def without_rename() -> None:
    """Files and folders are written in their places."""

    @contextmanager
    def in_its_place(place: Path, make: Callable[[Path], None]) -> Iterator[Path]:
        place.parent.mkdir(parents=True, exist_ok=True)
        files._remove(place)
        make(place)
        yield place

    files._beside = in_its_place


def without_state() -> None:
    """Trainings have nothing to go on from."""
    from recycling.backends.shared import resume

    begin = resume.begin

    def begin_anew(work_dir: Path, identity: Any) -> Any:
        (work_dir / resume.STATE).unlink(missing_ok=True)
        return begin(work_dir, identity)

    for name, module in list(sys.modules.items()):
        if name.startswith("recycling.backends.") and vars(module).get("begin") is begin:
            module.begin = begin_anew


def without_locks() -> None:
    """Outputs are not locked between runs."""
    from recycling.fingerprints import Locks

    Locks.acquire = lambda self, exclusive: None


def without_own_names() -> None:
    """All who write to a place use the same hidden name."""
    files._hidden = lambda place, ending: place.with_name(f".{place.name}.same{ending}")


MECHANISMS: Mapping[str, Callable[[], None]] = {
    "rename": without_rename,
    "state": without_state,
    "lock": without_locks,
    "name": without_own_names,
}
