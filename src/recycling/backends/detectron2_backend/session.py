"""The library for a while: its import, its noise, its global state."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.backends.shared import reproducible as shared
from recycling.backends.shared.one_at_a_time import ONE_AT_A_TIME
from recycling.backends.shared.threads import threads_kept
from recycling.errors import one_line

TALKATIVE = ("detectron2", "fvcore", "iopath", "torch.fx")
"""Loggers that have something to say while a detector trains."""


@contextmanager
def library(log: Path | None = None) -> Iterator[None]:
    """Everything inside runs with detectron2, and what it says does not reach the screen.

    One thread at a time is inside; others wait.

    Args:
        log: A file for its log and its warnings; None drops them.

    Raises:
        BackendError: It, or something that it needs, cannot be imported.
    """
    with (
        ONE_AT_A_TIME,
        _written_down(log) as logger,
        warnings.catch_warnings(),
        threads_kept(),
    ):

        def write_down(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
            logger.warning("%s: %s", category.__name__, message)

        warnings.showwarning = write_down
        _import()
        yield


@contextmanager
def reproducible(*, deterministic: bool) -> Iterator[None]:
    """Have torch compute the same numbers every time, or as fast as it can.

    Args:
        deterministic: Whether torch may not choose faster kernels that round differently.
    """
    import torch

    # After a few calls the just-in-time compiler makes other code, which rounds differently: a
    # training would depend on what this process has computed before.
    with (
        shared.reproducible(deterministic=deterministic),
        torch.jit.optimized_execution(not deterministic),  # type: ignore[attr-defined]
    ):
        yield


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed every generator, by the epoch, so that a training can go on after any.

    Args:
        seed: Of the training.
        epoch: From 1; 0 is what comes before the first.
    """
    import numpy as np
    from detectron2.utils.env import seed_all_rng

    seed_all_rng(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))


def versions() -> dict[str, str]:
    """The versions of the libraries that make a difference to a training's result."""
    return {
        name: str(importlib.import_module(name).__version__)
        for name in ("torch", "torchvision", "detectron2")
    }


@contextmanager
def _written_down(log: Path | None) -> Iterator[logging.Logger]:
    """Have what the libraries' loggers say in a file, or nowhere; gives the first of them."""
    handler: logging.Handler = logging.NullHandler()
    if log is not None:
        handler = logging.FileHandler(log, mode="a", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        yield loggers[0]
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.propagate = propagate
            logger.removeHandler(handler)
        handler.close()


def _import() -> None:
    from recycling.backends.libraries import how_to_install

    try:
        for module in ("checkpoint", "data", "engine", "model_zoo", "solver"):
            importlib.import_module(f"detectron2.{module}")
    except ImportError as error:
        raise BackendError(
            f"detectron2 cannot be imported ({one_line(error)}); {how_to_install('detectron2')}"
        ) from error
