"""The trainings that differ in the seed alone, and the folds that all of them hold out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from recycling.errors import listed
from recycling.experiments import ExperimentError

logger = logging.getLogger(__name__)

TWIN = "_control"
"""How the twin of a model with `control` is called after it."""


def entry_of(name: str, models: Mapping[str, Any]) -> str:
    """The entry of `models` that a training is of: of a twin, its student's.

    >>> entry_of("yolox_control", {"yolox": {"control": True}})
    'yolox'
    """
    student = models.get(name.removesuffix(TWIN))
    is_twin = isinstance(student, Mapping) and student.get("control")
    return name.removesuffix(TWIN) if is_twin else name


def variants(name: str, models: Mapping[str, Any]) -> list[str]:
    """The trainings that differ from one in the seed alone; of a twin, the twins of those."""
    entry = entry_of(name, models)
    return [
        f"{other}{name.removeprefix(entry)}"
        for other, own in models.items()
        if isinstance(own, Mapping)
        and own.get("variant_of") == entry
        and own.get("snapshot") is None
    ]


def of_common_folds(label: str, seeds: Sequence[Sequence[str]]) -> list[list[str]]:
    """The out-of-fold predictions of each seed, on the folds that all seeds hold out.

    Raises:
        ExperimentError: There is no such fold.
    """
    held_out = [set(map(fold_of, keys)) for keys in seeds]
    common = set.intersection(*held_out) if held_out else set()
    if left_out := sorted(set().union(*held_out) - common):
        which = f"fold {listed(left_out)}: not every seed has it"
        if not common:
            raise ExperimentError(f"{label}: {which}, and no other is there; train them")
        logger.warning("%s: scored without %s", label, which)
    return [[key for key in keys if fold_of(key) in common] for keys in seeds]


def fold_of(key: str) -> int:
    """The fold of a dataset such as ``det.yolox.fold0.out_of_fold_predictions``."""
    return int(key.split(".fold")[1].split(".")[0])
