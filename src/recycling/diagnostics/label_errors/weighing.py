"""How much speaks against a label, on one scale for all kinds of errors and all tasks.

A score of 0.3 for a class and one for a place do not mean the same. Errors are planted among the
labels, and models, which have not seen these, are asked anew: how much likelier a score is of a
planted error than of a label as it is, is what the score weighs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations
from recycling.diagnostics.label_errors.core import (
    KINDS,
    Kind,
    LabelErrors,
    candidates,
    iou,
)
from recycling.diagnostics.label_errors.planting import Planted, plant
from recycling.ensembling.calibration import isotonic

_ENOUGH = 100  # planted errors of a kind
_MOST_ROUNDS = 4
_FOUND_AT = 0.5
_LEAST_LABELS = 20  # with fewer, nothing can be told

Judge = Callable[[Annotations], LabelErrors]
"""What models say of labels; their predictions stay the same whatever the labels are."""


def weighed(
    truth: Annotations, judge: Judge, kinds: Sequence[Kind] = KINDS, *, random_state: int = 0
) -> LabelErrors:
    """The candidates with qualities that mean the same for all kinds and tasks.

    Args:
        truth: The images and their labels, most of which are right.
        judge: Ranks labels by what models say of them.
        kinds: The errors that it looks for.
        random_state: Seed of the errors that are planted.

    Returns:
        The candidates of `judge`. The quality is the chance that the label is right, were right and
        wrong equally likely beforehand: by isotonic regression on the scores of labels as they are,
        and of errors planted among them. With fewer than 20 labels it is as `judge` gives it.
    """
    errors = judge(truth)
    n_labels = int((~truth.annotations["iscrowd"]).sum())
    if n_labels < _LEAST_LABELS or errors.empty:
        return errors
    of_planted = _planted_scores(truth, judge, kinds, np.random.default_rng(random_state))
    quality = errors["quality"].to_numpy(copy=True)
    for kind, (scores, n_planted) in of_planted.items():
        own = (errors["kind"] == kind).to_numpy(dtype=bool)
        if own.any() and len(scores):
            quality[own] = 1 - _chance_of_wrong(1 - quality[own], scores, n_labels / n_planted)
    return candidates(truth, errors.assign(quality=quality))


def _chance_of_wrong(
    scores: NDArray[np.float64], of_planted: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """That each score, (n,), is of an error, were there as many errors as labels; from 0 to 1."""
    every = np.concatenate([scores, of_planted])
    is_planted = np.repeat([0.0, 1.0], [len(scores), len(of_planted)])
    weights = np.repeat([1.0, weight], [len(scores), len(of_planted)])
    return np.asarray(isotonic(every, is_planted, weights)(scores))


def _planted_scores(
    truth: Annotations, judge: Judge, kinds: Sequence[Kind], rng: np.random.Generator
) -> dict[Kind, tuple[NDArray[np.float64], int]]:
    """Of each kind the scores of planted errors that have any, and how many were planted."""
    n_each = max(len(truth.images) // len(kinds), 1)
    rounds = min(-(-_ENOUGH // n_each), _MOST_ROUNDS)
    scores: dict[Kind, list[float]] = {kind: [] for kind in kinds}
    counts: dict[Kind, int] = dict.fromkeys(kinds, 0)
    for _ in range(rounds):
        planted = plant(truth, kinds, min(n_each, _ENOUGH), rng)
        errors = judge(planted.truth)
        for kind in kinds:
            if kind == "missed":
                found, count = _of_missed(planted, errors), len(planted.missing)
            else:
                found = _of_labels(planted, errors, kind)
                count = sum(own == kind for own in planted.kind.values())
            scores[kind] += [1 - quality for quality in found]
            counts[kind] += count
    return {kind: (np.array(scores[kind]), max(counts[kind], 1)) for kind in kinds}


def _of_labels(planted: Planted, errors: LabelErrors, kind: Kind) -> list[float]:
    wrong = [own for own, what in planted.kind.items() if what == kind]
    rows = errors[(errors["kind"] == kind) & errors["annotation_id"].isin(wrong)]
    return rows["quality"].tolist()


def _of_missed(planted: Planted, errors: LabelErrors) -> list[float]:
    """The best quality at the place of each label that is gone, where it is missed."""
    found = []
    missed = errors[errors["kind"] == "missed"]
    for row in planted.missing.to_dict("records"):
        here = missed[missed["image_id"] == row["image_id"]]
        box = np.array([[row[edge] for edge in BOX]], dtype=np.float64)
        at = iou(box, here[BOX].to_numpy(dtype=np.float64))[0] >= _FOUND_AT
        if at.any():
            found.append(float(here["quality"][at].min()))
    return found
