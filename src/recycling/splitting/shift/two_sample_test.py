"""A classifier two-sample test: whether a classifier tells two samples apart better than chance.

Sources: the test: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017,
https://arxiv.org/abs/1610.06545; here with the AUC instead of the accuracy, since the samples may
differ in size. The standard error of an AUC over rows in groups: Obuchowski, "Nonparametric
Analysis of Clustered ROC Curve Data", Biometrics 53 (1997). The p-value of a permutation test:
Phipson and Smyth, "Permutation P-values Should Never Be Zero", 2010. Permutation importance:
Breiman, "Random Forests", 2001.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.progress import track
from recycling.splitting.scikit_learn import fold_of_row

N_REPEATS = 5
"""How often each feature is permuted to measure its importance; scikit-learn's default, too."""

_Z_95 = 1.959964  # a normal value lies within so many standard deviations in 95 of 100 cases
_N_BINS = 250  # no more than the 255 that scikit-learn's trees take


@dataclass(frozen=True)
class TwoSampleTest:
    """The outcome of a classifier two-sample test.

    Attributes:
        probability: (n,) that a row is of the second sample, if both samples had equal weight; by
            a classifier that was not trained on the row's group.
        auc: Area under the ROC curve of these probabilities; 0.5 is a guess, 1 is perfect.
        low: Lower end of its 95 % interval.
        high: Upper end.
        chance: The AUC that permuted labels exceed in 5 of 100 cases.
        p_value: The share of permuted labels that give this AUC or a higher one.
        importance: (features,) the AUC that is lost when a feature's values are permuted. Features
            that correlate have little each, as one makes up for another.
    """

    probability: NDArray[np.float64]
    auc: float
    low: float
    high: float
    chance: float
    p_value: float
    importance: NDArray[np.float64]


def classifier_two_sample_test(
    features: NDArray[np.float64],
    in_second: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    n_splits: int,
    n_permutations: int,
    random_state: int,
) -> TwoSampleTest:
    """Cross-validate a small classifier, and again on permuted labels.

    Labels are permuted between groups within a fold, and classifiers are trained anew on each
    permutation. To permute the probabilities alone would be faster, but wrong: classifiers of
    different folds share training rows, so their AUCs depend on one another, and chance would be
    called a difference twice as often as it should.

    Args:
        features: (n, features); NaN where a value is missing.
        in_second: (n,) whether a row is of the second sample.
        groups: (n,) rows of one group are never on both sides of a fold; at least `n_splits`
            groups of either sample.
        n_splits: Number of folds.
        n_permutations: How often labels are permuted, at least 19.
        random_state: Seed of folds and permutations.

    Returns:
        The AUC with its interval, what chance gives, and the importance of each feature.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    features = _binned(features)
    rng = np.random.default_rng(random_state)
    # Fits are so many and so small that threads would mostly wait for one another.
    with threadpool_limits(limits=1):
        fold = _folds(in_second, groups, n_splits, random_state)
        models = _fit(features, in_second, fold)
        probability = _predict(models, features, fold)
        auc, standard_error = area_under_curve(probability, in_second, groups)
        permuted = []
        for _ in track(range(n_permutations), "shuffling train and test"):
            labels = _permuted_labels(in_second, groups, fold, rng)
            guesses = _predict(_fit(features, labels, fold), features, fold)
            permuted.append(area_under_curve(guesses, labels, groups))
        importance = _importance(models, features, in_second, fold, auc, rng)
    aucs, standard_errors = np.array(permuted).T
    low, high = _interval(auc, standard_error * _underestimated(aucs, standard_errors))
    return TwoSampleTest(
        probability=probability,
        auc=auc,
        low=low,
        high=high,
        chance=float(np.sort(aucs)[-((n_permutations + 1) // 20)]),
        p_value=float((1 + (aucs >= auc).sum()) / (1 + n_permutations)),
        importance=importance,
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

    >>> area, _ = area_under_curve(
    ...     np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]), np.arange(4)
    ... )
    >>> area
    0.75
    """
    from scipy.stats import rankdata

    n_positive, n_negative = positive.sum(), (~positive).sum()
    rank = rankdata(scores)
    # For each row, the share of the other class that it is on the right side of.
    right = np.empty(len(scores))
    right[positive] = (rank[positive] - rankdata(scores[positive])) / n_negative
    right[~positive] = 1 - (rank[~positive] - rankdata(scores[~positive])) / n_positive
    area = right[positive].mean()
    residual = (right - area) / np.where(positive, n_positive, n_negative)
    of_group = np.bincount(np.unique(groups, return_inverse=True)[1], residual)
    variance = np.square(of_group).sum() * len(of_group) / max(len(of_group) - 1, 1)
    return float(area), float(np.sqrt(variance))


def _binned(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features in `_N_BINS` steps by their ranks, missing values below all.

    Trees ask for no more than the order. scikit-learn bins features itself, but at every fit, which
    takes longer than the trees, and it stops at a feature that is all missing.
    """
    rank = pd.DataFrame(features).rank(pct=True)
    return (_N_BINS * rank).round().fillna(-1.0).to_numpy()


def _folds(
    labels: NDArray[np.bool_], groups: NDArray[np.int64], n_splits: int, random_state: int
) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)
    return fold_of_row(splitter.split(labels, labels, groups), len(groups))


def _fit(
    features: NDArray[np.float64], labels: NDArray[np.bool_], fold: NDArray[np.int64]
) -> list[Any]:
    """A classifier for each fold, of the rows that are not in it.

    A few small trees: unlike a logistic regression they see a change of spread and of how features
    go together, not of means only, and they take no longer to fit than the permutations allow.
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
        ).fit(features[fold != k], labels[fold != k])
        for k in range(fold.max() + 1)
    ]


def _predict(
    models: list[Any], features: NDArray[np.float64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n,) the probability of each row, by the classifier that did not see its fold."""
    probability = np.empty(len(fold))
    for k, model in enumerate(models):
        probability[fold == k] = model.predict_proba(features[fold == k])[:, 1]
    return probability


def _permuted_labels(
    labels: NDArray[np.bool_],
    groups: NDArray[np.int64],
    fold: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Labels permuted among the groups of each fold, whose share of either sample stays as it is.

    A group that has rows of both samples counts as two.
    """
    _, first, unit = np.unique(2 * groups + labels, return_index=True, return_inverse=True)
    label_of_unit = labels[first]
    for k in range(fold.max() + 1):
        of_fold = np.flatnonzero(fold[first] == k)
        label_of_unit[of_fold] = rng.permutation(label_of_unit[of_fold])
    return label_of_unit[unit]


def _underestimated(aucs: NDArray[np.float64], standard_errors: NDArray[np.float64]) -> float:
    """The factor by which AUCs of permuted labels spread more than their standard errors say.

    The standard error takes the classifiers as given; on other rows they would have come out
    differently.
    """
    expected = standard_errors.mean()
    return max(1.0, float(aucs.std(ddof=1) / expected)) if expected > 0 else 1.0


def _interval(auc: float, standard_error: float) -> tuple[float, float]:
    """The 95 % interval, computed on the log odds, so that it stays between 0 and 1."""
    from scipy.special import expit, logit

    if standard_error == 0:
        return auc, auc
    half_width = _Z_95 * standard_error / (auc * (1 - auc))
    return float(expit(logit(auc) - half_width)), float(expit(logit(auc) + half_width))


def _importance(
    models: list[Any],
    features: NDArray[np.float64],
    labels: NDArray[np.bool_],
    fold: NDArray[np.int64],
    auc: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Permutation importance in the rows that a fold's classifier did not see, (features,).

    Unlike scikit-learn's, which takes one model, the AUC is that of all folds together.
    """
    rows = np.arange(len(features))
    lost = np.zeros((N_REPEATS, features.shape[1]))
    for repeat in range(N_REPEATS):
        order = rows.copy()
        for k in range(len(models)):
            order[fold == k] = rng.permutation(rows[fold == k])
        for feature in range(features.shape[1]):
            permuted = features.copy()
            permuted[:, feature] = features[order, feature]
            guess = _predict(models, permuted, fold)
            lost[repeat, feature] = auc - area_under_curve(guess, labels, rows)[0]
    return np.asarray(lost.mean(axis=0))
