"""One process of a training on several devices: ``torchrun -m ... FOLDER``."""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from recycling.backends.core import BackendError
from recycling.backends.mmengine_backend import adapter
from recycling.backends.mmengine_backend.devices import ERROR, JOB
from recycling.backends.shared.job import Job
from recycling.stopping import Stopped, follow

LONGEST = timedelta(days=1)
"""How long processes wait for one of them, which may score all of the held-out fold alone."""


def main(folder: Path) -> None:
    """Train this process's share of the job in `folder`, which the starting process wrote."""
    import torch.distributed

    job: Job = pickle.loads((folder / JOB).read_bytes())
    library = "nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(library, timeout=LONGEST)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if torch.distributed.get_rank() == 0:
        follow(Connection(os.dup(sys.stdin.fileno()), writable=False))
    try:
        with suppress(Stopped), adapter.library_of(job.model, job.work_dir):
            adapter.train(job)
    except BackendError as error:
        (folder / ERROR).write_text(str(error))
        sys.exit(1)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
