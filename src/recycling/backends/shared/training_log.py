"""What every training leaves in its run's folder: a line an epoch, and a batch that failed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recycling.backends.core import BackendError
from recycling.files import write_text

METRICS = "metrics.jsonl"
"""One line of JSON for each epoch of a training, in the run's folder."""

FAILED_BATCH = "failed_batch.json"
"""The images of the batch whose step failed, or whose loss was not a number."""

NAMED = 8
"""Most images of a failing batch that the error itself names."""


def add_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one line of JSON to a log."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def keep_lines(path: Path, key: str, last: int) -> None:
    """Drop the lines of what is trained again, and one that a stop cut off.

    Args:
        path: A log of one line of JSON each; it need not exist.
        key: What the lines count.
        last: The last one that is kept.

    >>> path = getfixture("tmp_path") / "metrics.jsonl"
    >>> for epoch in (1, 2, 3):
    ...     add_line(path, {"epoch": epoch})
    >>> keep_lines(path, "epoch", last=1)
    >>> json.loads(path.read_text())
    {'epoch': 1}
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)[key] <= last:
                kept.append(f"{line}\n")
        except (ValueError, KeyError):
            break
    write_text(path, "".join(kept))


def training_log(work_dir: Path) -> list[dict[str, Any]]:
    """What each epoch of a training has left in its folder; nothing where there is no log.

    A line that a training which goes on has only begun is left out.

    >>> add_line(getfixture("tmp_path") / METRICS, {"epoch": 1, "loss": 0.5})
    >>> training_log(getfixture("tmp_path"))
    [{'epoch': 1, 'loss': 0.5}]
    """
    path = work_dir / METRICS
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def failing_loss(
    work_dir: Path, loss: str, iteration: int, iterations: int, images: Sequence[str]
) -> BackendError:
    """The error of a training whose loss is no longer a number; the batch is written down.

    Args:
        work_dir: The run's folder; its name is what the model is called.
        loss: What it is instead.
        iteration: From 1.
        iterations: Of the whole training.
        images: The files of the last batch.
    """
    return BackendError(
        f"{work_dir.name}: the loss is {loss} at iteration {iteration} of {iterations}; lower "
        "optimizer.learning_rate or set optimizer.clip_grad_norm; the last batch is "
        f"{failed_batch(work_dir, images)}"
    )


def failed_batch(work_dir: Path, images: Sequence[str]) -> str:
    """Write down which images a batch is of; name the first, and the file if it was written."""
    path = work_dir / FAILED_BATCH
    written = write_if_possible(path, json.dumps(list(images), indent=2) + "\n")
    return f"{named(images)} ({path})" if written else named(images)


def write_if_possible(path: Path, text: str) -> bool:
    """Write what stands beside an error, which is told without it where that cannot be written.

    Returns:
        Whether it has been written.
    """
    try:
        write_text(path, text)
    except OSError:
        return False
    return True


def named(images: Sequence[str]) -> str:
    """The first images of a batch, and how many more there are.

    >>> named(["1.png", "2.png"])
    '1.png, 2.png'
    """
    more = f" and {len(images) - NAMED} more" if len(images) > NAMED else ""
    return f"{', '.join(images[:NAMED])}{more}"
