"""One process of a training on several devices: ``torchrun -m ... FOLDER``."""

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
from recycling.backends.mmengine_backend.devices import ERROR, JOB, check_devices
from recycling.backends.mmengine_backend.nodes import LONGEST
from recycling.backends.shared.job import Job
from recycling.stopping import Stopped, follow


def main(folder: Path) -> None:
    """Train this process's share of the job in `folder`, which the starting process wrote."""
    import torch.distributed

    job: Job = pickle.loads((folder / JOB).read_bytes())
    library = "nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(library, timeout=LONGEST)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if os.environ["LOCAL_RANK"] == "0":
        follow(Connection(os.dup(sys.stdin.fileno()), writable=False))
    try:
        with suppress(Stopped), adapter.library_of(job.model, job.work_dir):
            check_node(job, folder)
            adapter.train(job)
    except BackendError as error:
        # Of the first that fails: the others only say that it has left them.
        with suppress(FileExistsError), (folder / ERROR).open("x") as file:
            file.write(str(error))
        sys.exit(1)
    torch.distributed.destroy_process_group()


def check_node(job: Job, folder: Path) -> None:
    """Refuse a machine that is another one than the job was prepared for.

    Raises:
        BackendError: It has other versions, or fewer GPUs, or the data lie elsewhere on it.
    """
    host = socket.gethostname()
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
    main(Path(sys.argv[1]))
