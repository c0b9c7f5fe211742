"""What fails inside a library, a training step or for want of memory: one line for it."""

from __future__ import annotations

import errno
import math
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared.training_log import failed_batch, write_if_possible

TRACEBACK = "failed_step.txt"
"""Where the library's own account of it is, in the run's folder."""

LARGEST_WEIGHT = 1e6
"""No network that learns has a larger one."""


class Step:
    """Where a training is: what the error of a step that fails tells.

    Args:
        work_dir: The run's folder; its name is what the model is called.

    Attributes:
        network: What is trained.
        iteration: From 1.
        iterations: Of the whole training.
        images: The files of the batch of the step that runs; None between two steps.
    """

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.network: Any = None
        self.iteration = self.iterations = 0
        self.images: Sequence[str] | None = None


@contextmanager
def explained_step(step: Step) -> Iterator[None]:
    """Turn what a library raises during a training into one line; a `BackendError` passes.

    Raises:
        BackendError: Inside, something else was raised.
    """
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        if _is_lost_connection(error):  # the account is that of the process that has failed
            raise BackendError(
                f"{step.work_dir.name}: another process of the training has ended, as when it is "
                "killed or its machine fails; see to that and start again: it goes on after its "
                "last whole epoch"
            ) from error
        path = step.work_dir / TRACEBACK
        see = f"; see {path}" if write_if_possible(path, traceback.format_exc()) else ""
        raise BackendError(_line(step, error) + see) from error


@contextmanager
def enough_memory(checkpoint: Path) -> Iterator[None]:
    """Say in one line that the memory does not do for a prediction, and what to do.

    Args:
        checkpoint: The folder of the model that predicts.

    Raises:
        BackendError: Inside, memory ran out.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        reason = shorten(str(error), 150, placeholder=" ...")
        raise BackendError(
            f"{checkpoint}: out of memory while predicting ({reason}); end what else uses it, "
            "predict without the GPU (CUDA_VISIBLE_DEVICES= kedro run --only-missing-outputs, "
            "which trains nothing again), or set a lower batch_size or image_size in models.yml, "
            "which trains the model again"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU, or of the machine, did not do.

    >>> is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    True
    """
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in str(error) for words in _OUT_OF_MEMORY
    )


_OUT_OF_MEMORY = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
)
"""What torch says where it has no error of its own for it."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, a user's share of it, or a file may not grow."""


def _line(step: Step, error: Exception) -> str:
    reason = shorten(f"{type(error).__name__}: {error}", 300, placeholder=" ...")
    cause, remedy = _cause(step, error)
    if step.images is None:
        where, batch = f"after iteration {step.iteration}", ""
    else:
        where = f"at iteration {step.iteration}"
        batch = f"; the batch is {failed_batch(step.work_dir, step.images)}"
    where = f"{where} of {step.iterations}"
    return f"{step.work_dir.name}: the training fails {where}: {cause or reason}; {remedy}{batch}"


def _cause(step: Step, error: Exception) -> tuple[str | None, str]:
    """What is behind an error, where that is known, and what to do."""
    if is_out_of_memory(error):
        return "out of memory", (
            "lower batch_size (and raise accumulate by as much), lower image_size, or set "
            "precision: bf16"
        )
    if isinstance(error, OSError):
        remedy = "make room" if error.errno in _NO_ROOM else "see to it"
        return None, f"{remedy} and start again: it goes on after its last whole epoch"
    if "more than 1 value per channel" in str(error):
        return f"batch normalisation has one value a channel in {_images(step)}", (
            "set batch_size to 2 or more and give it as many images to learn from, or choose a "
            "recipe without batch normalisation"
        )
    if "DataLoader worker" in str(error):
        return "a loader process was ended from outside, perhaps for want of memory", (
            "end what else uses the memory and start again: it goes on after its last whole epoch; "
            "with fewer workers it begins anew where their number changes what is drawn"
        )
    if (weights := _wild_weights(step.network)) is not None:
        return weights, "lower optimizer.learning_rate or set optimizer.clip_grad_norm"
    return None, "change the setting that it speaks of, or choose another recipe"


def _is_lost_connection(error: Exception) -> bool:
    """Whether processes no longer reach one another; gloo has no error of its own for it."""
    import torch.distributed

    return isinstance(error, torch.distributed.DistError) or "/gloo/" in str(error)


def _images(step: Step) -> str:
    n = len(step.images or ())
    return f"a batch of {n} image{'' if n == 1 else 's'}"


def _wild_weights(network: Any) -> str | None:
    """What has become of the weights, where they have left all bounds, and can be looked at."""
    try:
        largest = 0.0 if network is None else _largest(network)
    except RuntimeError:  # a GPU on which a kernel has failed computes nothing any more
        return None
    if math.isnan(largest):
        return "the weights are no longer numbers"
    return f"the weights have grown to {largest:.0e}" if largest > LARGEST_WEIGHT else None


def _largest(network: Any) -> float:
    """The largest weight, whatever its sign; NaN where one is no number."""
    import torch

    largest = 0.0
    for tensor in network.parameters():
        if tensor.numel() and tensor.is_floating_point():
            if not bool(torch.isfinite(tensor).all()):
                return math.nan
            largest = max(largest, float(tensor.detach().abs().max()))
    return largest
