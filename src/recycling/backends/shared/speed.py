"""How fast a training is, and the memory that it takes."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Speed:
    """How fast a training is; what a training that goes on adds to.

    Attributes:
        iterations: Those that were measured: all but the first of each start, with which loaders
            and kernels start.
        seconds: What these took.
        waiting: Seconds of these that the step waited for its batch.
        epochs: Seconds of each epoch, the keeping of the state and scoring left out.
    """

    iterations: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    epochs: list[float] = field(default_factory=list)

    def add_iteration(self, seconds: float, waited: float) -> None:
        """Count one iteration that is not the first of its start.

        Args:
            seconds: What it took.
            waited: Seconds of these that it waited for its batch.
        """
        self.iterations += 1
        self.seconds += seconds
        self.waiting += waited

    def facts(self, batch_size: int) -> dict[str, Any]:
        """The figures for the checkpoint.

        Rates and shares are None for a training of one iteration, which has only a first one.

        Args:
            batch_size: Images of one step, of all processes together.
        """
        import torch

        measured = self.seconds > 0
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # is in KiB
        return {
            "seconds": round(sum(self.epochs), 3),
            "minutes_per_epoch": round(sum(self.epochs) / 60 / max(1, len(self.epochs)), 5),
            "images_per_second": (
                round(self.iterations * batch_size / self.seconds, 2) if measured else None
            ),
            "waiting_share": round(self.waiting / self.seconds, 4) if measured else None,
            "peak_megabytes": round(peak, 1),
            "peak_megabytes_of": "GPU" if torch.cuda.is_available() else "process",
        }
