"""One library at a time: its import, its noise, its global state."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from recycling.backends.mmengine_backend.pretrained import checked_loading
from recycling.backends.mmengine_backend.replaced import replaced
from recycling.backends.shared.one_at_a_time import ONE_AT_A_TIME
from recycling.backends.shared.reproducible import reproducible
from recycling.backends.shared.threads import threads_kept

REGISTERING = tuple(
    f"recycling.backends.mmengine_backend.{name}"
    for name in ("data.loading", "data.unlabelled", "hooks.seeding", "data_parallel")
)
"""Modules whose classes configs name by their short names."""


@contextmanager
def library(backend: str, log: Path | None = None, *, deterministic: bool = True) -> Iterator[None]:
    """Everything inside runs with the library of `backend` and leaves no trace of it behind.

    One thread at a time is inside; others wait.

    Its modules are registered and its scope is the default; torch computes the same numbers every
    time; a file of weights cannot run code; warnings are counted into `log` instead of shown; what
    the library kept in global registries under the names of loggers, message hubs and visualizers
    is dropped at the end.

    Args:
        backend: ``mmpretrain``, ``mmdet`` or ``mmseg``.
        log: A file for the counted warnings; None drops them.
        deterministic: Whether torch may not choose faster kernels that round differently.
    """
    counted: Counter[str] = Counter()

    def count(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        counted[f"{category.__name__}: {message}"] += 1

    with ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = count
        _import(backend)
        with (
            reproducible(deterministic=deterministic),
            threads_kept(),
            _only_weights(),
            checked_loading(),
            replaced(importlib.import_module("mmengine.config.utils"), "load", _read_once),
            _fresh_globals(backend),
            _empty_cache(),
        ):
            try:
                yield
            finally:
                if log is not None and counted:
                    log.write_text("".join(f"{n} x {line}\n" for line, n in counted.most_common()))


@contextmanager
def silence() -> Iterator[None]:
    """Drop what a library prints; one thread at a time does."""
    with (
        ONE_AT_A_TIME,
        open(os.devnull, "w") as nowhere,  # noqa: PTH123
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        yield


def versions(backend: str) -> dict[str, str]:
    """The versions of the libraries that make a difference to a training's result."""
    return {
        name: str(importlib.import_module(name).__version__)
        for name in ("torch", "mmengine", "mmcv", backend)
    }


@contextmanager
def without_multimodal() -> Iterator[None]:
    """Let mmpretrain leave out its networks for texts, which stop at import beside transformers 5.

    It looks whether transformers is installed, and does not look at the version.
    """
    distribution = importlib.metadata.distribution

    def unless_transformers(name: str) -> Any:
        if name == "transformers":
            raise importlib.metadata.PackageNotFoundError(name)
        return distribution(name)

    with replaced(importlib.metadata, "distribution", unless_transformers):
        yield


def _import(backend: str) -> None:
    with silence(), without_multimodal():
        importlib.import_module(f"{backend}.utils").register_all_modules(init_default_scope=False)
        for module in REGISTERING:
            importlib.import_module(module)
        # mmengine looks for a distribution called mmsegmentation, which the maintained line of the
        # library is not; the name of the module is found as well.
        names = importlib.import_module("mmengine.config.utils").MODULE2PACKAGE
        names["mmseg"] = "mmseg"


@contextmanager
def _only_weights() -> Iterator[None]:
    """The libraries would fall back to running a file's code where it holds more than tensors."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@functools.cache
def _read_once(path: str) -> Any:
    """The YAML of all models, which mmengine reads for each config that inherits one of them.

    That is 0.9 of the time of reading a recipe; the files belong to the installed library.
    """
    return importlib.import_module("mmengine.fileio").load(path)


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Forget the images that were decoded inside."""
    from recycling.backends.mmengine_backend.data.image_cache import CACHE

    try:
        yield
    finally:
        CACHE.clear()


@contextmanager
def _fresh_globals(backend: str) -> Iterator[None]:
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer

    kinds = (MMLogger, MessageHub, Visualizer, DefaultScope)
    before = [dict(kind._instance_dict) for kind in kinds]
    try:
        name = f"recycling-{backend}"
        DefaultScope.get_instance(name, scope_name=backend)
        # The library would else make one that talks.
        MMLogger.get_instance(name, log_level="ERROR")
        yield
    finally:
        for kind, known in zip(kinds, before, strict=True):
            for name in [name for name in kind._instance_dict if name not in known]:
                instance = kind._instance_dict.pop(name)
                for handler in list(getattr(instance, "handlers", ())):
                    handler.close()
                    instance.removeHandler(handler)
