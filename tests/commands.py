"""Commands of the project, each in a process forked from one that has imported what they import.

A new interpreter needs four seconds for that, and the tests run dozens of commands. What reads
variables at import needs a new one nevertheless.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

IMPORTED = [
    "albumentations", "matplotlib.pyplot", "mmdet.models", "mmpretrain.models", "mmseg.models",
    "optuna", "sklearn.linear_model", "kedro_viz.integrations.kedro.hooks",
    "recycling.backends.mmengine_backend", "recycling.cli", "recycling.pipeline_registry",
    "recycling.reporting", "recycling.settings", "recycling.validation",
]  # fmt: skip

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(IMPORTED)


def kedro_command(
    project: Path, arguments: tuple[str, ...], columns: int = 160, timeout: float = 3600
) -> subprocess.CompletedProcess[str]:
    """Run a kedro command in a project, on a screen of so many columns.

    Raises:
        subprocess.TimeoutExpired: It has not ended in time (seconds).
    """
    variables = {**os.environ, "COLUMNS": str(columns)}
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _processes.Process(target=_command, args=(project, arguments, variables, outputs))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(["kedro", *arguments], timeout)
        stdout, stderr = (path.read_text() for path in outputs)
    return subprocess.CompletedProcess(["kedro", *arguments], process.exitcode, stdout, stderr)


def _command(
    project: Path, arguments: tuple[str, ...], variables: dict[str, str], outputs: list[Path]
) -> None:
    for stream, path in zip((1, 2), outputs, strict=True):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(project)
    sys.argv = ["kedro", *arguments]
    _end_as_python_does(_kedro)


def _kedro() -> None:
    from kedro.framework.cli.cli import main

    main()


def _end_as_python_does(act: Callable[[], None]) -> None:
    """Do something, then what multiprocessing leaves out at the end of a process."""
    try:
        act()
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
