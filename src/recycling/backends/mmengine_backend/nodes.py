"""Several machines train one model: how they find one another.

They share the disk that the data are on. The machine that runs the training says in its folder
where torchrun can be reached (``nodes.json``). The others, on which `join` runs, look for that;
each takes a number (``joined/1``), and starts its own processes.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from recycling.backends.core import BackendError
from recycling.files import write_json
from recycling.mirrors import is_mirror

FILE = "nodes.json"
JOINED = "joined"

LONGEST = timedelta(days=1)
"""How long processes wait: for nodes that are to join, and for one that may score all of the
held-out fold alone."""

_CONNECT_SECONDS = 2.0


class Meeting(BaseModel):
    """Where the nodes of one training meet.

    Attributes:
        id: Of this start of the training.
        address: The first node's, for the others.
        port: Where its torchrun listens.
        nodes: How many there are.
        per_node: Processes on each.
    """

    id: str
    address: str
    port: int
    nodes: int
    per_node: int

    def arguments(self, rank: int) -> list[str]:
        """Of torchrun.

        Args:
            rank: The number of the node; 0 is the one that runs the training.
        """
        return [
            f"--nnodes={self.nodes}",
            f"--nproc-per-node={self.per_node}",
            f"--node-rank={rank}",
            f"--master-addr={self.address}",
            f"--master-port={self.port}",
            f"--rdzv-id={self.id}",
            f"--rdzv-conf=timeout={LONGEST.total_seconds():.0f}",
        ]

    def is_open(self) -> bool:
        """Whether the first node is there: a file of one that was killed stays."""
        try:
            with socket.create_connection((self.address, self.port), _CONNECT_SECONDS):
                return True
        except OSError:
            return False


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


def open_meeting(folder: Path, nodes: int, per_node: int) -> Meeting:
    """Say in a training's folder where the others meet this node.

    That is the address in the environment variables ``MASTER_ADDR`` and ``MASTER_PORT``; without
    them the name of this machine and a free port.

    Args:
        folder: The training's.
        nodes: How many there are.
        per_node: Processes on each.
    """
    close_meeting(folder)
    (folder / JOINED).mkdir()
    meeting = Meeting(
        id=uuid4().hex,
        address=os.environ.get("MASTER_ADDR") or socket.gethostname(),
        port=int(os.environ.get("MASTER_PORT") or _free_port()),
        nodes=nodes,
        per_node=per_node,
    )
    write_json(folder / FILE, meeting.model_dump())
    return meeting


def close_meeting(folder: Path) -> None:
    """No more nodes are wanted."""
    (folder / FILE).unlink(missing_ok=True)
    shutil.rmtree(folder / JOINED, ignore_errors=True)


def n_joined(folder: Path) -> int:
    """How many nodes have joined the one that runs a training."""
    with suppress(FileNotFoundError):
        return len(list((folder / JOINED).iterdir()))
    return 0


def meetings_in(runs: Path) -> Iterator[tuple[Path, Meeting]]:
    """The trainings that other nodes can join now, with their folders.

    Args:
        runs: The folder that those are in.
    """
    for file in sorted(runs.rglob(FILE)):
        with suppress(FileNotFoundError, ValidationError):  # it has just ended
            meeting = Meeting.model_validate_json(file.read_bytes())
            if n_joined(file.parent) + 1 < meeting.nodes and meeting.is_open():
                yield file.parent, meeting


def take_number(folder: Path, meeting: Meeting) -> int | None:
    """The number of a node that joins; None where others were sooner.

    Args:
        folder: The training's.
        meeting: The one there.
    """
    for number in range(1, meeting.nodes):
        with suppress(FileExistsError, FileNotFoundError):
            (folder / JOINED / str(number)).touch(exist_ok=False)
            return number
    return None


def _free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])
