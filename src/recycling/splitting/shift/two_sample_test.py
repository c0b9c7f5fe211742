"""How well a classifier tells two sets of rows apart, and whether that could be chance.

Sources: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017,
https://arxiv.org/abs/1610.06545; the standard error of an AUC over rows in groups: Obuchowski,
"Nonparametric Analysis of Clustered ROC Curve Data", Biometrics 53 (1997); the p-value of random
shuffles: Phipson and Smyth, "Permutation P-values Should Never Be Zero", 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.progress import track

REPEATS = 5
"""How often each feature is shuffled to see what it is worth."""

_NORMAL_95 = 1.959964  # a normal value lies within so many standard deviations in 95 of 100 cases


@dataclass(frozen=True)
class ToldApart:
    """How well the two sets are told apart.

    Attributes:
        probability: (n,) that a row is of the second set, both sets given equal weight; by a
            classifier that did not see the row's group.
        auc: Area under the ROC curve of these probabilities; 0.5 is a guess, 1 is perfect.
        low: Lower end of its 95 % interval.
        high: Upper end.
        chance: What shuffled labels give in 5 of 100 cases: an AUC above it is hardly chance.
        p_value: How often shuffled labels give this AUC or a higher one.
        importance: (features,) how much AUC is lost when a feature's values are shuffled. Of
            features that say the same, each has little: the others make up for it.
    """

    probability: NDArray[np.float64]
    auc: float
    low: float
    high: float
    chance: float
    p_value: float
    importance: NDArray[np.float64]


def tell_apart(
    features: NDArray[np.float64],
    in_second: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    n_splits: int,
    permutations: int,
    seed: int,
) -> ToldApart:
    """Train a small classifier in cross-validation, and again on shuffled labels.

    Labels are shuffled from group to group within a fold, and every shuffle is learned anew: the
    AUCs of folds hang together, as their classifiers share training rows, so shuffling the
    probabilities alone would call chance a difference twice as often as it should.

    Args:
        features: (n, features); NaN where a value is missing.
        in_second: (n,) whether a row is of the second set.
        groups: (n,) rows of one group are never on both sides of a fold; at least `n_splits`
            groups of either set.
        n_splits: Number of folds.
        permutations: How often labels are shuffled, at least 19.
        seed: Of folds and shuffles.

    Returns:
        How well, how surely, and by which features.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # Fits are so many and so small that threads would mostly wait for one another.
    with threadpool_limits(limits=1):
        return _told_apart(features, in_second, groups, n_splits, permutations, seed)


def _told_apart(
    features: NDArray[np.float64],
    in_second: NDArray[np.bool_],
    groups: NDArray[np.int64],
    n_splits: int,
    permutations: int,
    seed: int,
) -> ToldApart:
    features = _steps(features)
    rng = np.random.default_rng(seed)
    fold = _folds(in_second, groups, n_splits, seed)
    models = _fitted(features, in_second, fold)
    probability = _out_of_fold(models, features, fold)
    auc, error = area_under_curve(probability, in_second, groups)
    units = np.unique(2 * groups + in_second, return_inverse=True)[1]
    by_chance = []
    for _ in track(range(permutations), "shuffling train and test"):
        shuffled = _shuffled(in_second, units, fold, rng)
        guesses = _out_of_fold(_fitted(features, shuffled, fold), features, fold)
        by_chance.append(area_under_curve(guesses, shuffled, groups))
    chance_aucs, chance_errors = np.array(by_chance).T
    low, high = _interval(auc, error * _widening(chance_aucs, chance_errors))
    return ToldApart(
        probability=probability,
        auc=auc,
        low=low,
        high=high,
        chance=float(np.sort(chance_aucs)[-((permutations + 1) // 20)]),
        p_value=float((1 + (chance_aucs >= auc).sum()) / (1 + permutations)),
        importance=_importance(models, features, in_second, fold, auc, rng),
    )


def area_under_curve(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], groups: NDArray[np.int64]
) -> tuple[float, float]:
    """The area under the ROC curve, and its standard error.

    Args:
        scores: (n,) higher for what should be positive.
        positive: (n,) the truth; both values occur.
        groups: (n,) rows of one group may be alike, so that they count as one observation.

    Returns:
        The area, equal scores counted half; the standard error that Obuchowski gives.
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    n_positive, n_negative = positive.sum(), (~positive).sum()
    rank = rankdata(scores)
    # The share of the other class that a row is on the right side of.
    right = np.empty(len(scores))
    right[positive] = (rank[positive] - rankdata(scores[positive])) / n_negative
    right[~positive] = 1 - (rank[~positive] - rankdata(scores[~positive])) / n_positive
    area = right[positive].mean()
    off = (right - area) / np.where(positive, n_positive, n_negative)
    of_group = np.bincount(np.unique(groups, return_inverse=True)[1], off)
    variance = np.square(of_group).sum() * len(of_group) / max(len(of_group) - 1, 1)
    return float(area), float(np.sqrt(variance))


def _steps(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features in 250 steps by their order, missing values below all.

    Trees ask for no more than the order, and scikit-learn, which makes 255 steps itself, would
    take longer for it than for the trees at every fit, and stop at a feature that is all missing.
    """
    place = pd.DataFrame(features).rank(pct=True)
    return (250 * place).round().fillna(-1.0).to_numpy()


def _folds(
    in_second: NDArray[np.bool_], groups: NDArray[np.int64], n_splits: int, seed: int
) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    fold = np.empty(len(groups), dtype=np.int64)
    for k, (_, held_out) in enumerate(splitter.split(in_second, in_second, groups)):
        fold[held_out] = k
    return fold


def _fitted(
    features: NDArray[np.float64], in_second: NDArray[np.bool_], fold: NDArray[np.int64]
) -> list[Any]:
    """A classifier for each fold, of the rows that are not in it.

    A few small trees: unlike a logistic regression they see a change of spread and of how features
    go together, not of means only, and they take no longer to fit than the shuffles allow.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    return [
        HistGradientBoostingClassifier(
            max_iter=25,
            learning_rate=0.2,
            max_leaf_nodes=8,
            min_samples_leaf=10,
            early_stopping=False,
            class_weight="balanced",
            random_state=0,
        ).fit(features[fold != k], in_second[fold != k])
        for k in range(fold.max() + 1)
    ]


def _out_of_fold(
    models: list[Any], features: NDArray[np.float64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    probability = np.empty(len(fold))
    for k, model in enumerate(models):
        probability[fold == k] = model.predict_proba(features[fold == k])[:, 1]
    return probability


def _shuffled(
    in_second: NDArray[np.bool_],
    units: NDArray[np.intp],
    fold: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Labels dealt anew to the groups of each fold, whose share of either set stays as it is."""
    first = np.unique(units, return_index=True)[1]
    label = in_second[first]
    for k in range(fold.max() + 1):
        of_fold = np.flatnonzero(fold[first] == k)
        label[of_fold] = rng.permutation(label[of_fold])
    return label[units]


def _widening(chance_aucs: NDArray[np.float64], chance_errors: NDArray[np.float64]) -> float:
    """How much more AUCs of shuffled labels spread than their standard errors say.

    The standard error takes the classifiers for given, and they would have come out differently.
    """
    expected = chance_errors.mean()
    return max(1.0, float(chance_aucs.std(ddof=1) / expected)) if expected > 0 else 1.0


def _interval(auc: float, error: float) -> tuple[float, float]:
    """The 95 % interval, computed on the log odds, so that it stays between 0 and 1."""
    from scipy.special import expit, logit  # type: ignore[import-untyped]

    if error == 0:
        return auc, auc
    reach = _NORMAL_95 * error / (auc * (1 - auc))
    return float(expit(logit(auc) - reach)), float(expit(logit(auc) + reach))


def _importance(
    models: list[Any],
    features: NDArray[np.float64],
    in_second: NDArray[np.bool_],
    fold: NDArray[np.int64],
    auc: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Permutation importance (Breiman 2001), in the rows that a fold's classifier did not see."""
    n_rows, n_features = features.shape
    each = np.arange(n_features)
    lost = np.zeros((REPEATS, n_features))
    for repeat in range(REPEATS):
        guesses = np.empty((n_features, n_rows))
        for k, model in enumerate(models):
            of_fold = np.flatnonzero(fold == k)
            # As many copies of the fold as features, each with another one shuffled.
            copies = np.tile(features[of_fold], (n_features, 1, 1))
            copies[each, :, each] = features[rng.permutation(of_fold)].T
            guess = model.predict_proba(copies.reshape(-1, n_features))[:, 1]
            guesses[:, of_fold] = guess.reshape(n_features, -1)
        for feature in each:
            without = area_under_curve(guesses[feature], in_second, np.arange(n_rows))[0]
            lost[repeat, feature] = auc - without
    return np.asarray(lost.mean(axis=0))
