"""More than one process: torchrun starts them, and each trains its share of every batch."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import subprocess
import sys

from recycling.backends.core import BackendError, Checkpoint
from recycling.backends.shared.job import Job
from recycling.backends.shared.model import Model
from recycling.backends.shared.resume import sharing, state_of
from recycling.stopping import Stopped, leading

JOB = "job.pickle"
ERROR = "error.txt"


def check_devices(model: Model) -> None:
    """Refuse more processes than there are GPUs, where there are some.

    Raises:
        BackendError: There are GPUs, but fewer.
    """
    import torch

    there = torch.cuda.device_count()
    if torch.cuda.is_available() and model.devices > there:
        raise BackendError(
            f"model {model.recipe!r}: devices is {model.devices}, but there are {there} GPUs; "
            f"set devices to {there} or less"
        )


def launch(job: Job) -> Checkpoint:
    """Train in ``job.model.devices`` processes, which end when this one does.

    Raises:
        BackendError: What one of the processes could not do, or that one was killed.
        Stopped: Ctrl-C was pressed.
    """
    job_file, error_file = job.work_dir / JOB, job.work_dir / ERROR
    error_file.unlink(missing_ok=True)
    try:
        job_file.write_bytes(pickle.dumps(job))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BackendError(
            f"{job.work_dir.name}: devices: what scores the held-out fold cannot be sent to other "
            "processes; give a function of a module"
        ) from error
    processes = str(job.model.devices)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", processes, "-m", f"{__package__}.worker", str(job.work_dir)]
    with leading() as leader, sharing(job.work_dir):  # torchrun hands its input on
        ended = subprocess.run(
            command,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            stdin=leader.fileno(),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    job_file.unlink(missing_ok=True)
    if error_file.exists():
        raise BackendError(error_file.read_text().strip())
    if ended.returncode != 0:
        log = job.work_dir / "torchrun.log"
        log.write_text(ended.stderr)
        raise BackendError(
            f"{job.work_dir.name}: one of the {processes} processes ended with an error; see {log}"
        )
    if state_of(job.work_dir) is not None:  # it is removed when the checkpoint is there
        raise Stopped
    return Checkpoint(job.work_dir / "checkpoint")


def _end_with_parent() -> None:
    """Let the kernel end this process when the one that started it is killed."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)
