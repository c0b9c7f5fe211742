"""Learning from out-of-fold predictions how much to believe which classifier on what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.classes.probabilities import (
    FLOOR,
    aligned_probabilities,
    log_probabilities,
    probability_table,
)
from recycling.ensembling.members import EnsemblingError, member_names
from recycling.ensembling.methods import ClassFusion, KnownLabels, LearntFusion, class_method
from recycling.predictions import ClassProbabilities

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""What is tried as `sklearn.linear_model.LogisticRegression.C`, the strongest regularisation first.

On made-up members of 300 to 20,000 crops, the choice fell between 0.1 and 1.
"""

Features: TypeAlias = NDArray[np.float64]


class StackingSettings(ClassFusion):
    """A regression that learns from out-of-fold predictions whom to believe on what."""

    method: Literal["stacking"] = "stacking"


@class_method("stacking", StackingSettings, learns="labels")
def stack_probabilities(
    members: Sequence[ClassProbabilities],
    *,
    known: KnownLabels,
    names: Sequence[str] | None = None,
) -> LearntFusion:
    """Stack classifiers by multinomial logistic regression on their log-probabilities.

    Stacked generalisation (Wolpert 1992). The strength of regularisation is the one of `STRENGTHS`
    with the smallest log loss over the folds; for the out-of-fold result it is chosen anew for each
    fold, over the other ones only (nested cross-validation).

    Args:
        members: One table a member, of the test crops.
        known: The same members' tables of labelled crops, in the same order and of the same
            classes, the labels, and the folds that the members were trained on, 3 at least.
        names: What to call the members in messages.

    Returns:
        Rows and columns in the order of the first member's tables, the columns of both in that of
        its out-of-fold table. A class that no label has gets probability 0.

    Raises:
        EnsemblingError: Members that do not fit each other, a crop without label or fold, a label
            that is no class, too few folds or crops, or a class alone outside two folds.
        TableError: A member is not a table of class probabilities.
    """
    called = member_names(names, len(known.out_of_fold))
    if len(members) != len(called):
        raise EnsemblingError(
            f"{len(members)} members on the test crops and {len(called)} out of fold; give "
            "the same ones in the same order"
        )
    crops, classes, probabilities = aligned_probabilities(known.out_of_fold, called)
    test_crops, test_classes, test_probabilities = aligned_probabilities(members, called)
    if set(test_classes) != set(classes):
        odd = sorted(set(test_classes) ^ set(classes))[0]
        raise EnsemblingError(
            f"{called[0]}: class {odd!r} is in one of its tables only, out of fold or test; "
            "predict both with the same models"
        )
    columns = [test_classes.index(name) for name in classes]
    targets = _targets(crops, classes, known.labels)
    fold_of = _fold_numbers(crops, known.folds)
    _check_training_parts(targets, fold_of, classes)

    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    features = _features(probabilities)
    # Matrices as thin as these gain nothing from BLAS's threads, and where other programs want the
    # processor they wait for one another: a minute instead of a second.
    with threadpool_limits(limits=1, user_api="blas"):
        out_of_fold, chosen = _cross_validated(features, targets, fold_of, len(classes))
        test_features = _features(test_probabilities[..., columns])
        path = _path(features, targets, len(classes), test_features)
        test = next(predicted for strength, predicted in path if strength == chosen)
    return LearntFusion(
        test=probability_table(test_crops, classes, test),
        out_of_fold=probability_table(crops, classes, out_of_fold),
    )


def _targets(
    crops: NDArray[np.int64], classes: Sequence[str], labels: pd.Series
) -> NDArray[np.int64]:
    names = _of_crops(crops, labels, "label")
    targets = pd.Index(classes).get_indexer(pd.Index(names))
    if (targets < 0).any():
        first = int((targets < 0).argmax())
        raise EnsemblingError(
            f"crop {crops[first]}: label {names[first]!r} is none of the members' classes "
            f"({', '.join(classes)})"
        )
    return targets.astype(np.int64)


def _fold_numbers(crops: NDArray[np.int64], folds: pd.Series) -> NDArray[np.int64]:
    fold_of = np.unique(_of_crops(crops, folds, "fold"), return_inverse=True)[1]
    return np.asarray(fold_of, dtype=np.int64)


def _of_crops(crops: NDArray[np.int64], values: pd.Series, what: str) -> NDArray[Any]:
    if not values.index.is_unique:
        twice = values.index[values.index.duplicated()][0]
        raise EnsemblingError(f"crop {twice} has more than one {what}; give one a crop")
    missing = ~pd.Index(crops).isin(values.index[values.notna()])
    if missing.any():
        raise EnsemblingError(
            f"crop {crops[missing.argmax()]}: no {what} ({int(missing.sum())} of {len(crops)} "
            "crops have none); give one for each out-of-fold crop"
        )
    return values.reindex(pd.Index(crops)).to_numpy()


def _check_training_parts(
    targets: NDArray[np.int64], fold_of: NDArray[np.int64], classes: Sequence[str]
) -> None:
    folds = np.unique(fold_of)
    if len(folds) < 3:
        raise EnsemblingError(
            f"{len(folds)} folds; stacking learns on some, chooses on another and is scored on a "
            "third: give 3 or more"
        )
    for pair in combinations(folds, 2):
        learnt = np.unique(targets[~np.isin(fold_of, pair)])
        if len(learnt) == 1:
            raise EnsemblingError(
                f"without two of the folds all crops are {classes[learnt[0]]!r}; give folds that "
                "hold several classes each"
            )


def _features(probabilities: NDArray[np.float32]) -> Features:
    """(members, crops, classes) to (crops, members * classes) log-probabilities."""
    n_members, n_crops, n_classes = probabilities.shape
    logs = log_probabilities(probabilities)
    return logs.transpose(1, 0, 2).reshape(n_crops, n_members * n_classes)


def _cross_validated(
    features: Features,
    targets: NDArray[np.int64],
    fold_of: NDArray[np.int64],
    n_classes: int,
) -> tuple[NDArray[np.float64], float]:
    """The nested out-of-fold probabilities, and the strength that is best over all folds."""
    n_folds, n_strengths = int(fold_of.max()) + 1, len(STRENGTHS)
    # What a stack without folds a and b says of b tells which strength suits a, and the reverse.
    without = np.zeros((n_folds, n_strengths))
    for a, b in combinations(range(n_folds), 2):
        held_out = (fold_of == a) | (fold_of == b)
        path = _path(features[~held_out], targets[~held_out], n_classes, features[held_out])
        in_a = fold_of[held_out] == a
        for number, (_, predicted) in enumerate(path):
            losses = _log_losses(predicted, targets[held_out])
            without[a, number] += losses[~in_a].sum()
            without[b, number] += losses[in_a].sum()
    out_of_fold = np.zeros((len(targets), n_classes))
    over_all = np.zeros(n_strengths)
    for fold in range(n_folds):
        held_out = fold_of == fold
        path = _path(features[~held_out], targets[~held_out], n_classes, features[held_out])
        for number, (_, predicted) in enumerate(path):
            over_all[number] += _log_losses(predicted, targets[held_out]).sum()
            if number == without[fold].argmin():
                out_of_fold[held_out] = predicted
    return out_of_fold, STRENGTHS[int(over_all.argmin())]


def _path(
    features: Features, targets: NDArray[np.int64], n_classes: int, unseen: Features
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Each strength and the probabilities, (unseen crops, classes), of a stack made with it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    # Log-probabilities of sure and of unsure members differ tenfold; on one scale L-BFGS takes a
    # fifth of the steps or fewer.
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)
    # Each strength starts from the weights of the one before.
    model = LogisticRegression(warm_start=True, max_iter=1000)
    for strength in STRENGTHS:
        model.set_params(C=strength).fit(scaled, targets)
        predicted = np.zeros((len(unseen), n_classes))
        if len(unseen):
            predicted[:, model.classes_] = model.predict_proba(scaler.transform(unseen))
        yield strength, predicted


def _log_losses(predicted: NDArray[np.float64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    likely = np.maximum(predicted[np.arange(len(targets)), targets], FLOOR)
    return np.asarray(-np.log(likely), dtype=np.float64)
