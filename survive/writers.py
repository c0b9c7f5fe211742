"""Many processes write one file and one folder; some are killed. One whole value has to stay."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from survive.mechanisms import MECHANISMS

WRITES = 60
LENGTH = 200_000


def faults_of_writers(folder: Path, without: str | None = None) -> list[str]:
    """Let processes write at once, and say what is not as it should be.

    Args:
        folder: Where; it is made.
        without: The mechanism that is taken out.
    """
    folder.mkdir(parents=True)
    children = [_writer(folder, mark, without) for mark in "abcdef"]
    time.sleep(0.3)
    for child in children[:2]:
        os.kill(child, signal.SIGKILL)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    found = [f"a writer ended with {status}" for status in statuses[2:] if status != 0]
    file = folder / "file"
    if not file.exists() or set(file.read_text()) - set(file.read_text()[:1]):
        found.append("the file holds parts of two values")
    elif len(file.read_text()) != LENGTH:
        found.append("the file is cut off")
    marks = {path.read_text() for path in (folder / "folder").glob("*")}
    if len(marks) != 1 or len(list((folder / "folder").glob("*"))) != 2:
        found.append("the folder holds parts of two values")
    return found


def _writer(folder: Path, mark: str, without: str | None) -> int:
    if child := os.fork():
        return child
    status = 1
    try:
        if without is not None:
            MECHANISMS[without]()
        from recycling.files import new_folder, write_text

        for _ in range(WRITES):
            write_text(folder / "file", mark * LENGTH)
            with new_folder(folder / "folder") as unfinished:
                (unfinished / "one").write_text(mark)
                (unfinished / "two").write_text(mark)
        status = 0
    finally:
        os._exit(status)
