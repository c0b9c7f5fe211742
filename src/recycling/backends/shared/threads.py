"""How many threads torch computes with on processors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recycling.backends.shared.model import Model

SMALL = 1e12
"""Weights times pixels of a batch, below which a second thread gains nothing.

The sample's networks lie at 2e11 to 6e11, and train as fast with one; a ResNet-18 on 8 images of
112 pixels lies at 1e12.
"""


@contextmanager
def threads_kept() -> Iterator[None]:
    """Leave torch with as many threads as before."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def set_threads(network: Any, model: Model) -> None:
    """Have torch compute with as many threads as a network gains from.

    That is one for a small network: more would mostly wait for one another, beside other work for
    long. Any other gets as many as there are processors; ``OMP_NUM_THREADS`` goes before.

    Args:
        network: A ``torch.nn.Module``.
        model: Its batch and image size.

    Example:
        >>> import torch
        >>> model = Model.model_construct(batch_size=8, image_size=112)
        >>> with threads_kept():
        ...     set_threads(torch.nn.Linear(8, 2), model)
        ...     torch.get_num_threads()
        1
    """
    import torch

    weights = sum(parameter.numel() for parameter in network.parameters())
    is_small = weights * model.batch_size * model.image_size**2 < SMALL
    torch.set_num_threads(_asked_for() or (1 if is_small else _processors()))


def _asked_for() -> int:
    """What ``OMP_NUM_THREADS`` says, of ``4,2`` the outer level; 0 where it says nothing of use."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def _processors() -> int:
    """As many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
