"""More than one process: torchrun starts them, and each trains its share of every batch."""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from recycling.backends.core import BackendError, Checkpoint
from recycling.backends.mmengine_backend.nodes import (
    check_shared,
    close_meeting,
    meetings_in,
    n_joined,
    open_meeting,
    take_number,
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
    job_file, error_file = job.work_dir / JOB, job.work_dir / ERROR
    for left in (error_file, *job.work_dir.glob(LOGS)):
        left.unlink(missing_ok=True)
    try:
        job_file.write_bytes(pickle.dumps(job))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BackendError(
            f"{job.work_dir.name}: devices: what scores the held-out fold cannot be sent to other "
            "processes; give a function of a module"
        ) from error
    try:
        with sharing(job.work_dir):
            ended = _on_this_node(job) if job.model.nodes == 1 else _on_first_node(job)
    finally:
        job_file.unlink(missing_ok=True)
    if error_file.exists():
        raise BackendError(error_file.read_text().strip())
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


def join(runs: Path) -> None:
    """Take part in trainings that other machines run, one after another, until Ctrl-C.

    Args:
        runs: The folder that the folders of trainings are in.

    Raises:
        BackendError: No other machine sees it.
    """
    check_shared(runs)
    known = set[str]()
    while not is_asked_to_stop():
        for folder, meeting in meetings_in(runs):
            if meeting.id in known or (number := take_number(folder, meeting)) is None:
                continue
            known.add(meeting.id)
            logger.info("%s: joins as node %d of %d", folder.name, number + 1, meeting.nodes)
            log = folder / f"torchrun.node{number + 1}.log"
            if _torchrun(meeting.arguments(number), folder, log) == 0:
                logger.info("%s: has ended", folder.name)
            else:
                logger.error("%s: ended with an error; its first node says which", folder.name)
            break
        else:
            time.sleep(_JOIN_SECONDS)


def _on_this_node(job: Job) -> int:
    processes = f"--nproc-per-node={job.model.n_devices}"
    return _torchrun(["--standalone", processes], job.work_dir, job.work_dir / "torchrun.log")


def _on_first_node(job: Job) -> int:
    """Train with the nodes that join this one.

    Raises:
        BackendError: No other machine sees the training's folder.
        Stopped: Ctrl-C was pressed before they were all there.
    """
    check_shared(job.work_dir)
    folder, others = job.work_dir, job.model.nodes - 1
    meeting = open_meeting(folder, job.model.nodes, job.model.devices_per_node)
    waits = True

    def look() -> bool:
        nonlocal waits
        if waits and n_joined(folder) == others:
            waits = False
            logger.info("%s: its %d nodes are there", folder.name, meeting.nodes)
        return not (waits and is_asked_to_stop())

    logger.info(
        "%s: is node 1 of %d, at %s, port %d; waits for `kedro join` on the others",
        *(folder.name, meeting.nodes, meeting.address, meeting.port),
    )
    try:
        ended = _torchrun(meeting.arguments(0), folder, folder / "torchrun.log", look)
    finally:
        close_meeting(folder)
    if waits and is_asked_to_stop():
        raise Stopped
    return ended


def _torchrun(
    arguments: Sequence[str], folder: Path, log: Path, goes_on: Callable[[], bool] = lambda: True
) -> int:
    """Start the processes of a node, and give the exit status of what has started them.

    Args:
        arguments: Of torchrun.
        folder: The training's.
        log: A file for what it says of a process that fails; it is not there after none has.
        goes_on: Is asked meanwhile; if not, it is stopped.
    """
    command = [sys.executable, "-m", "torch.distributed.run", *arguments]
    command += ["-m", f"{__package__}.worker", str(folder)]
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
            while started.poll() is None:
                if not goes_on():
                    started.kill()
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            started.kill()
            raise
    if started.returncode == 0:
        log.unlink()
    return started.returncode


def _end_with_parent() -> None:
    """Let the kernel end this process when the one that started it is killed."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)
