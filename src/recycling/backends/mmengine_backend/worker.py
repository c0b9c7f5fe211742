"""One process of a training on several devices: ``torchrun -m ... FOLDER LIBRARY``."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend import adapter, session
from recycling.backends.mmengine_backend.devices import JOB, check_devices, write_error
from recycling.backends.mmengine_backend.nodes import LONGEST, all_are_there
from recycling.backends.shared.job import Job
from recycling.stopping import Stopped, follow


def main(start: Path, library: str) -> None:
    """Train this process's share of a job.

    Args:
        start: The folder that the starting process has written the job into.
        library: What the processes talk by: ``nccl`` or ``gloo``.
    """
    import torch.distributed

    if os.environ["LOCAL_RANK"] == "0":
        follow(Connection(os.dup(sys.stdin.fileno()), writable=False))
    try:
        job: Job = pickle.loads((start / JOB).read_bytes())
        with suppress(Stopped), adapter.library_of(job.model, job.work_dir):
            # Before the processes meet: one that is missing keeps the others waiting.
            check_node(job, start.parents[1], library)
            if library == "nccl":
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            torch.distributed.init_process_group(library, timeout=LONGEST)
            if torch.distributed.get_rank() == 0:
                all_are_there(start)
            adapter.train(job)
    except BackendError as error:
        write_error(start, str(error))
        sys.exit(1)
    torch.distributed.destroy_process_group()


def check_node(job: Job, folder: Path, library: str) -> None:
    """Refuse a machine that is another one than the job was prepared for.

    Raises:
        BackendError: It has other versions, or fewer GPUs, or the data lie elsewhere on it.
    """
    import torch

    host = socket.gethostname()
    if (library == "nccl") != torch.cuda.is_available():
        raise BackendError(
            f"{job.name}: its first node talks by {library}, and {host} has "
            f"{'no GPU' if library == 'nccl' else 'GPUs'}; let all nodes have some, or none "
            "(CUDA_VISIBLE_DEVICES=)"
        )
    if folder.resolve() != job.work_dir.resolve():
        raise BackendError(
            f"{job.name}: is in {job.work_dir}, and on {host} in {folder}; let the project have "
            "the same path on all nodes"
        )
    for name, version in session.versions(job.model.backend).items():
        if version != job.versions[name]:
            raise BackendError(
                f"{job.name}: {name} is {job.versions[name]}, and on {host} {version}; install "
                "the same on all nodes"
            )
    check_devices(job.model)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
