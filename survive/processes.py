"""A run in a process of its own, forked from one that has imported everything."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from recycling.backends import backend_for
from survive.events import Stop, watch
from survive.mechanisms import MECHANISMS

LONGEST = 3600.0
"""Seconds after which a run hangs."""

IMPORTED = (
    "albumentations", "matplotlib.pyplot", "mmdet.models", "mmpretrain.models", "mmseg.models",
    "optuna", "sklearn.linear_model", "kedro_viz.integrations.kedro.hooks",
    "recycling.cli", "recycling.pipeline_registry", "recycling.reporting", "recycling.settings",
    "recycling.validation",
)  # fmt: skip
"""What nodes, hooks and commands import; a process that is forked has it at once."""

WORKERS_LIVE_ON = 60.0
"""Seconds after which all processes of a run that is gone have to be gone too."""


class HangsError(RuntimeError):
    """A run, or a process of it, has not ended."""


@dataclass(frozen=True)
class Run:
    """A process in which ``kedro run`` runs, the first of a session of its own."""

    process: int
    output: Path

    def wait(self) -> int:
        """Wait until it has ended.

        Returns:
            Its exit status; negative, the signal that ended it.

        Raises:
            HangsError: It has not.
        """
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            ended, status = os.waitpid(self.process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.killpg(self.process, signal.SIGKILL)
        raise HangsError(f"has not ended after {LONGEST:.0f} s; its output is {self.output}")

    def wait_for_workers(self) -> None:
        """Wait until no process of its session is left.

        Raises:
            HangsError: One is.
        """
        deadline = time.monotonic() + WORKERS_LIVE_ON
        while left := of_session(self.process):
            if time.monotonic() > deadline:
                os.killpg(self.process, signal.SIGKILL)
                raise HangsError(f"left behind: {', '.join(left)}")
            time.sleep(0.1)


def start(
    project: Path,
    arguments: Sequence[str],
    log: Path,
    stop: Stop | None = None,
    without: str | None = None,
) -> Run:
    """Start ``kedro run``.

    Args:
        project: The folder that it runs in.
        arguments: Further ones of the command.
        log: Where events are noted.
        stop: Where it is stopped.
        without: The mechanism that is taken out.
    """
    output = log.with_suffix(".txt")
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        _end_with(lambda: _run(project, arguments, log, stop, without, output))
    return Run(child, output)


def import_all() -> None:
    """Import what nodes import when they run, once for all runs."""
    for module in IMPORTED:
        import_module(module)
    for name in ("mmpretrain", "mmdet", "mmseg", "detectron2"):
        if find_spec(name) is not None:
            backend_for(name)
    import_module("torch").set_num_threads(1)


def _end_with(act: Callable[[], int]) -> None:
    """Do something, then end this process with what it returns, as Python ends."""
    import atexit
    import threading

    status = 1
    try:
        status = act()
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(
    project: Path,
    arguments: Sequence[str],
    log: Path,
    stop: Stop | None,
    without: str | None,
    output: Path,
) -> int:
    os.setsid()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    os.chdir(project)
    if without is not None:
        MECHANISMS[without]()
    watch(project, log, stop)
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project)
    try:
        find_run_command("recycling")(list(arguments), prog_name="kedro run")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def of_session(session: int) -> list[str]:
    """The processes of a session that have not ended, and what they are called."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:
            continue
        state, _, _, own = rest.split()[:4]
        if int(own) == session and state != "Z":
            found.append(name.replace("(", ""))
    return found
