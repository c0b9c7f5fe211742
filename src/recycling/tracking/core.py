"""What is tracked of a run, whoever keeps it, and who keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recycling.registry import PickedSettings, Registry


class TrackingError(RuntimeError):
    """A run cannot be tracked: one line, by whom, what is wrong, what to do."""


@dataclass(frozen=True)
class PredictedImage:
    """A row of a table of predictions.

    Attributes:
        predictions: The dataset that they are from.
        file_name: The image's.
        objects: How many are annotated on it.
        overlay: (H, W, 3) RGB: the truth beside the prediction.
    """

    predictions: str
    file_name: str
    objects: int
    overlay: NDArray[np.uint8]


@dataclass(frozen=True)
class Entry:
    """One entry in the books: a training, or the run that it was part of.

    Attributes:
        name: What nothing else is called: the training and the run's id, or that id.
        kind: Which of the two.
        group: The study or the run that it belongs to.
        tags: The task, and what else to filter by.
        parameters: All settings, resolved.
        fingerprints: By dataset, the hash of what it holds.
        scores: By name, figures and the ends of their intervals.
        curves: A line an epoch, each with `epoch`.
        predictions: Some images with the truth and what is predicted.
        pages: By name, HTML files.
        takes: By dataset, the file or folder of what it was made of.
        gives: By dataset, the file or folder of what it made.
        failed: Whether it ended with an error.
        stopped: Whether Ctrl-C has ended it.
    """

    name: str
    kind: Literal["training", "run"]
    group: str
    tags: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    curves: Sequence[Mapping[str, float]] = ()
    predictions: Sequence[PredictedImage] = ()
    pages: Mapping[str, Path] = field(default_factory=dict)
    takes: Mapping[str, Path] = field(default_factory=dict)
    gives: Mapping[str, Path] = field(default_factory=dict)
    failed: bool = False
    stopped: bool = False


Track: TypeAlias = Callable[[Iterable[Entry], Any, Path], None]
"""Writes entries, by the settings of a tracker, into a folder or where these settings say.

It raises `TrackingError` where it cannot. Entries are made as they are asked for.
"""

TRACKERS: Registry[Track] = Registry("tracker")


class Tracking(PickedSettings, registry=TRACKERS, key="to", default="none"):
    """Who keeps the runs beside `data/08_reporting/runs`.

    >>> read_tracking("wandb").mode, read_tracking(None).to
    ('offline', 'none')
    """

    to: str
    images: int = Field(default=8, ge=0, description="how many images a table of predictions shows")


def read_tracking(given: Any) -> Any:
    """The settings of the tracker that a user has picked, by its name alone or with settings.

    Args:
        given: What the parameter says; None for none.

    Raises:
        ValidationError: There is no such tracker, or it does not take a setting.
    """
    return Tracking.model_validate(
        {"to": given or "none"} if not isinstance(given, dict) else given
    )
