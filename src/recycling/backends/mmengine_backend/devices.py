"""More than one process: torchrun starts them, and each trains its share of every batch."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from recycling.backends.core import BackendError, Checkpoint
from recycling.backends.mmengine_backend.nodes import (
    Meeting,
    check_shared,
    end_starts,
    give_back,
    meetings_in,
    new_start,
    open_meeting,
    take_number,
    waits,
)
from recycling.backends.shared.job import Job
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import sharing, state_of
from recycling.stopping import Stopped, ask_to_stop, is_asked_to_stop, leading

logger = logging.getLogger(__name__)

JOB = "job.pickle"
ERROR = "error.txt"
LOGS = "torchrun*.log"

_LOOK_SECONDS = 0.2
_JOIN_SECONDS = 1.0

_GONE_SECONDS = 30.0
"""How long a node goes on without the first one, of whose end it may not have heard yet."""

_FAILED_SECONDS = 10.0
"""How long the first node waits for its processes after one of another has failed."""

_TERMINATE_SECONDS = 5.0
"""How long torchrun has to end its processes."""


def check_devices(model: Model) -> None:
    """Refuse more processes than there are GPUs, where there are some.

    Raises:
        BackendError: There are GPUs, but fewer.
    """
    import torch

    there, asked = torch.cuda.device_count(), model.devices_per_node
    if torch.cuda.is_available() and asked > there:
        raise BackendError(
            f"model {model.recipe!r}: devices is {asked}, but there are {there} GPUs; "
            f"set devices to {there} or less"
        )


def launch(job: Job) -> Checkpoint:
    """Train in as many processes as `devices` says, which end when this one does.

    Raises:
        BackendError: What one of the processes could not do, or that one was killed.
        Stopped: Ctrl-C was pressed, here or on another node.
    """
    import torch

    library = "nccl" if torch.cuda.is_available() else "gloo"
    for left in job.work_dir.glob(LOGS):
        left.unlink(missing_ok=True)
    try:
        content = pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BackendError(
            f"{job.work_dir.name}: devices: what scores the held-out fold cannot be sent to other "
            "processes; give a function of a module"
        ) from error
    start = new_start(job.work_dir)
    try:
        (start / JOB).write_bytes(content)
        with sharing(job.work_dir):
            if job.model.nodes == 1:
                arguments = ["--standalone", f"--nproc-per-node={job.model.n_devices}"]
                ended = _torchrun(arguments, start, library, job.work_dir / "torchrun.log")
            else:
                ended = _on_first_node(job, start, library)
        error_file = start / ERROR
        if ended != 0 and error_file.exists():
            raise BackendError(error_file.read_text().strip())
    finally:
        end_starts(job.work_dir)
    if ended != 0:
        logs = " and ".join(str(log) for log in sorted(job.work_dir.glob(LOGS)))
        raise BackendError(
            f"{job.work_dir.name}: one of the {job.model.n_devices} processes ended with an error; "
            f"see {logs}"
        )
    if state_of(job.work_dir) is not None:  # it is removed when the checkpoint is there
        ask_to_stop()  # here as well, where it was asked on another node
        raise Stopped
    return Checkpoint(job.work_dir / "checkpoint")


def _on_first_node(job: Job, start: Path, library: str) -> int:
    """Train with the nodes that join this one.

    Raises:
        BackendError: No other machine sees the training's folder.
        Stopped: Ctrl-C was pressed before they were all there.
    """
    check_shared(job.work_dir)
    meeting = open_meeting(start, job.model.nodes, job.model.devices_per_node, library)
    are_met, failed = False, _Since(_FAILED_SECONDS)

    def goes_on() -> bool:
        nonlocal are_met
        if not are_met and not waits(start):
            are_met = True
            logger.info("%s: its %d nodes are there", job.name, meeting.nodes)
        if failed.for_long((start / ERROR).exists()):
            return False
        return are_met or not is_asked_to_stop()

    logger.info(
        "%s: is node 1 of %d, at %s, port %d; waits for `kedro join` on the others",
        *(job.name, meeting.nodes, meeting.address, meeting.port),
    )
    log = job.work_dir / "torchrun.log"
    ended = _torchrun(meeting.arguments(start, 0), start, library, log, goes_on)
    if not are_met and is_asked_to_stop():
        raise Stopped
    return ended


def join(runs: Path) -> None:
    """Take part in trainings that other machines run, one after another, until Ctrl-C.

    Args:
        runs: The folder that the folders of trainings are in.

    Raises:
        BackendError: No other machine sees it.
    """
    check_shared(runs)
    known = set[Path]()
    while not is_asked_to_stop():
        for start, meeting in meetings_in(runs):
            if start not in known and (number := take_number(start, meeting)) is not None:
                known.add(start)
                _take_part(start, meeting, number)
                break
        else:
            time.sleep(_JOIN_SECONDS)


def _take_part(start: Path, meeting: Meeting, number: int) -> None:
    """Train as one node of several."""
    folder = start.parents[1]
    gone = _Since(_GONE_SECONDS)

    def goes_on() -> bool:
        if is_asked_to_stop() and waits(start):
            return False
        return not gone.for_long(not meeting.goes_on(start))

    logger.info("%s: joins as node %d of %d", folder.name, number + 1, meeting.nodes)
    log = folder / f"torchrun.node{number + 1}.log"
    try:
        ended = _torchrun(meeting.arguments(start, number), start, meeting.library, log, goes_on)
    finally:
        if waits(start):
            give_back(start, number)
    if ended == 0:
        logger.info("%s: has ended", folder.name)
    elif is_asked_to_stop():
        logger.info("%s: leaves it", folder.name)
    elif not meeting.goes_on(start):
        logger.warning("%s: its first node has ended", folder.name)
    else:
        why = f"{folder.name}: a process on {socket.gethostname()} ended with an error; see {log}"
        write_error(start, why)
        logger.error("%s", why)


def write_error(start: Path, why: str) -> None:
    """Tell the first node why a process has ended: of the first; the others were left by it."""
    with suppress(OSError), (start / ERROR).open("x") as file:  # there is one, or all have ended
        file.write(why)


class _Since:
    """Whether something is so for a time, seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.since = seconds, math.inf

    def for_long(self, is_so: bool) -> bool:
        """Whether it has been so, each time that this was asked, for that long."""
        now = time.monotonic()
        self.since = min(self.since, now) if is_so else math.inf
        return now - self.since >= self.seconds


def _torchrun(
    arguments: Sequence[str],
    start: Path,
    library: str,
    log: Path,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Start the processes of a node, and give the exit status of what has started them.

    Args:
        arguments: Of torchrun.
        start: The folder of the start, for the processes.
        library: What they talk by.
        log: A file for what it says of a process that fails; it is not there after none has.
        goes_on: Is asked meanwhile; if not, it is stopped.
    """
    command = [sys.executable, "-m", "torch.distributed.run", *arguments]
    command += ["-m", f"{__package__}.worker", str(start), library]
    with (
        leading() as leader,  # torchrun hands its input on
        log.open("w") as errors,
        subprocess.Popen(
            command,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            stdin=leader.fileno(),
            stderr=errors,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        ) as started,
    ):
        try:
            while started.poll() is None and goes_on():
                time.sleep(_LOOK_SECONDS)
            started.terminate()
            started.wait(_TERMINATE_SECONDS)
        except BaseException as error:
            started.kill()  # one that still waits for others looks at no signal
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
    if started.returncode == 0:
        log.unlink(missing_ok=True)
    return started.returncode


def _end_with_parent() -> None:
    """Let the kernel end this process when the one that started it is killed."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)
