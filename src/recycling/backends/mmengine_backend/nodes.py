"""Several machines train one model: how they find one another.

They share the disk that the data are on. The machine that runs the training says in a folder of the
start, in that of the training, where torchrun can be reached (``nodes.json``). The others, on which
`join` runs, look for that; each takes a number, and starts its own processes. When all of them have
met, the first one removes the file; when the training has ended, the folder.
"""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from recycling.backends.core import BackendError
from recycling.files import write_json
from recycling.mirrors import is_mirror

STARTS = "starts"
FILE = "nodes.json"

LONGEST = timedelta(days=1)
"""How long processes wait: for nodes that are to join, and for one that may score all of the
held-out fold alone."""

_CONNECT_SECONDS = 2.0


class Meeting(BaseModel):
    """Where the nodes of one training meet.

    Attributes:
        address: The first node's, for the others.
        port: Where its torchrun listens.
        nodes: How many there are.
        per_node: Processes on each.
        library: What they talk by: ``nccl`` or ``gloo``.
    """

    address: str
    port: int
    nodes: int
    per_node: int
    library: str

    def arguments(self, start: Path, rank: int) -> list[str]:
        """Of torchrun.

        Args:
            start: The folder of the start.
            rank: The number of the node; 0 is the one that runs the training.
        """
        return [
            f"--nnodes={self.nodes}",
            f"--nproc-per-node={self.per_node}",
            f"--node-rank={rank}",
            f"--master-addr={self.address}",
            f"--master-port={self.port}",
            f"--rdzv-id={start.name}",
            f"--rdzv-conf=timeout={LONGEST.total_seconds():.0f}",
        ]

    def is_open(self) -> bool:
        """Whether the first node is there: a file of one that was killed stays."""
        try:
            with socket.create_connection((self.address, self.port), _CONNECT_SECONDS):
                return True
        except OSError:
            return False

    def goes_on(self, start: Path) -> bool:
        """Whether the first node waits, or trains."""
        return self.is_open() if waits(start) else start.exists()


def check_shared(folder: Path) -> None:
    """Refuse a folder that no other machine sees.

    Args:
        folder: A training's, or that of all trainings.

    Raises:
        BackendError: It is on this machine, and stands for one at an address.
    """
    if is_mirror(folder):
        raise BackendError(
            f"{folder}: is of this machine alone; let data in globals.yml be a folder on a disk "
            "that all nodes of a training share, not an address"
        )


def new_start(work_dir: Path) -> Path:
    """A new folder for what the processes of a training share; those of earlier starts are removed.

    Args:
        work_dir: The training's.
    """
    end_starts(work_dir)
    start = work_dir / STARTS / uuid4().hex
    start.mkdir(parents=True)
    return start


def end_starts(work_dir: Path) -> None:
    """Remove what the processes of a training have shared: nobody joins them any more."""
    for file in work_dir.glob(f"{STARTS}/*/{FILE}"):
        file.unlink(missing_ok=True)
    shutil.rmtree(work_dir / STARTS, ignore_errors=True)


def open_meeting(start: Path, nodes: int, per_node: int, library: str) -> Meeting:
    """Say where the others meet this node.

    That is the address in the environment variables ``MASTER_ADDR`` and ``MASTER_PORT``; without
    them the name of this machine and a free port.

    Args:
        start: The folder of the start.
        nodes: How many there are.
        per_node: Processes on each.
        library: What they talk by.
    """
    meeting = Meeting(
        address=os.environ.get("MASTER_ADDR") or socket.gethostname(),
        port=int(os.environ.get("MASTER_PORT") or _free_port()),
        nodes=nodes,
        per_node=per_node,
        library=library,
    )
    write_json(start / FILE, meeting.model_dump())
    return meeting


def waits(start: Path) -> bool:
    """Whether the first node still waits for processes of others."""
    return (start / FILE).exists()


def all_are_there(start: Path) -> None:
    """Say that the processes of all nodes have met."""
    (start / FILE).unlink(missing_ok=True)


def meetings_in(runs: Path) -> list[tuple[Path, Meeting]]:
    """The trainings that other nodes can join now, with the folders of their starts.

    Those that lack the fewest nodes come first, so that no two wait for one another's. Of several
    at one address only the newest is there.

    Args:
        runs: The folder that those of trainings are in.
    """
    found = []
    for parent, _, files in os.walk(runs):
        if FILE in files:
            with suppress(OSError, ValidationError):  # it has just ended
                file = Path(parent, FILE)
                meeting = Meeting.model_validate_json(file.read_bytes())
                found.append((file.stat().st_mtime_ns, file.parent, meeting))
    found.sort(key=lambda each: each[0])
    newest = {(meeting.address, meeting.port): (start, meeting) for _, start, meeting in found}
    fewest_first = sorted(newest.values(), key=lambda each: _n_lacking(*each))
    return [each for each in fewest_first if _n_lacking(*each) > 0 and each[1].is_open()]


def _n_lacking(start: Path, meeting: Meeting) -> int:
    return meeting.nodes - 1 - len(list(start.glob("[0-9]*")))


def take_number(start: Path, meeting: Meeting) -> int | None:
    """The number of a node that joins; None where others were sooner.

    Args:
        start: The folder of the start.
        meeting: The one there.
    """
    for number in range(1, meeting.nodes):
        with suppress(OSError):  # another has it, or the training has ended
            (start / str(number)).touch(exist_ok=False)
            return number
    return None


def give_back(start: Path, number: int) -> None:
    """Let another node take a number."""
    (start / str(number)).unlink(missing_ok=True)


def _free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])
