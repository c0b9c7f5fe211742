"""What a target is, and what counts as a find: anything but one line or a sound value, in time."""

from __future__ import annotations

import faulthandler
import logging
import resource
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

SECONDS = 5
"""What takes longer is a hang."""

MEMORY = 6 << 30
"""Bytes of addresses that a target may have; what asks for more fails instead of the machine."""

EXAMPLES = 500
"""Inputs that hypothesis makes at a time."""

LONGEST = 4000
"""Characters of a line that a user could still read."""

FOLDER = Path("build/fuzz")
"""Where the last input of each target is, and those that were found."""


@dataclass(frozen=True)
class Target:
    """Something that reads what comes from outside.

    Attributes:
        name: Its file's.
        inputs: What it is fed with.
        read: Reads an input and checks what comes of it, by assertions.
        message: The line that a user is told of an error; None of an error that is a find.
    """

    name: str
    inputs: SearchStrategy[Any]
    read: Callable[[Any], object]
    message: Callable[[BaseException], str | None]


class FindError(Exception):
    """An input that is answered wrongly."""


class HangError(BaseException):
    """Time is over; no `except Exception` holds it up."""


def refusal(*errors: type[Exception]) -> Callable[[BaseException], str | None]:
    """The lines of some kinds of errors."""
    return lambda error: str(error) if isinstance(error, errors) else None


def run(target: Target, minutes: float, first_seed: int) -> int:
    """Feed a target until time is over, and print how many inputs were tried and what was found.

    Args:
        target: The target.
        minutes: How long.
        first_seed: Of the inputs.

    Returns:
        The number of different finds.
    """
    _prepare()
    FOLDER.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * minutes
    counts: Counter[str] = Counter()
    known: set[str] = set()
    found: list[str] = []

    def attempt(value: Any) -> None:
        if time.monotonic() > ends and not found:
            return
        (FOLDER / f"{target.name}.last").write_text(repr(value))
        counts["inputs"] += 1
        try:
            counts[judged(target, value)] += 1
        except FindError as find:
            if str(find) not in known:
                found.append(str(find))  # hypothesis tries it once more
                raise

    number = first_seed
    while time.monotonic() < ends:
        try:
            seed(number)(_SETTINGS(given(target.inputs)(attempt)))()
        except (FindError, Flaky):
            find = found[0]
            found.clear()
            known.add(find)
            (FOLDER / f"{target.name}-{len(known)}.txt").write_text(
                f"{(FOLDER / f'{target.name}.last').read_text()}\n\n{traceback.format_exc()}"
            )
            print(f"{target.name}: {find}", flush=True)
        number += 1
    print(
        f"{target.name}: {counts['inputs']:,} inputs, {counts['refused']:,} refused, "
        f"{counts['read']:,} read, {len(known)} finds (--seed {first_seed})",
        flush=True,
    )
    return len(known)


_SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


def judged(target: Target, value: Any) -> str:
    """Whether an input was ``read`` or ``refused``.

    Raises:
        FindError: It was neither.
    """
    try:
        with _in_time():
            target.read(value)
    except HangError as error:
        raise FindError(f"takes longer than {SECONDS} s{_place(error)}") from error
    except Exception as error:
        line = target.message(error)
        if line is None:
            raise FindError(f"{type(error).__name__}{_place(error)}") from error
        if not line.strip() or "\n" in line or len(line) > LONGEST:
            raise FindError(f"{type(error).__name__} is not one line{_place(error)}") from error
        return "refused"
    return "read"


@contextmanager
def _in_time() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _place(error: BaseException) -> str:
    """Where in this project an error is from, which tells one find from another."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/recycling/" in frame.filename] or list(frames)
    return f" at {own[-1].filename.rpartition('/src/')[2]}:{own[-1].lineno}" if own else ""


def _prepare() -> None:
    faulthandler.enable()
    rich.reconfigure(quiet=True)  # no progress
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
