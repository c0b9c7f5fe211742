"""Errors of classes: confident learning.

Source: Northcutt, Jiang and Chuang (2021), Confident Learning: Estimating Uncertainty in Dataset
Labels, arXiv 1911.00068: a class is confident where its probability reaches the mean of those that
are labelled so; what is confidently another class than its label is a candidate, and the
candidates are ranked by their normalised margin.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX, Annotations
from recycling.diagnostics.label_errors.core import LabelErrors, candidates
from recycling.evaluation.classes import matched_crops
from recycling.predictions import ClassProbabilities


def class_label_errors(truth: Annotations, probabilities: ClassProbabilities) -> LabelErrors:
    """Rank the classes of crops or images by what classifiers say of them.

    Args:
        truth: The crops and their labels; crowd regions are left out.
        probabilities: Of models that have not seen these labels: a row for each crop, a column for
            each category's name.

    Returns:
        A row of kind ``wrong_class`` for each crop; schema `recycling.diagnostics.LABEL_ERRORS`.
        The quality is 1 where the label is confident or no class is; else 1 less the margin by
        which the likeliest other class is ahead of the label.

    Raises:
        EvaluationError: As `recycling.evaluation.macro_f1` does.
    """
    given, scores = matched_crops(truth, probabilities)
    confident = confident_classes(scores, given)
    crops = truth.annotations[~truth.annotations["iscrowd"]]
    names = truth.categories["name"].to_numpy(dtype=object)
    rows = np.arange(len(given))
    new = np.where(confident < 0, given, confident)
    margin = normalized_margin(scores, given)
    quality = np.where(new == given, 1, 1 + np.minimum(margin, 0))
    likeliest = scores.argmax(axis=1)
    says = [
        f"cls: {name} {best:.2f}, {own:.2f} as labelled"
        for name, best, own in zip(
            names[likeliest], scores[rows, likeliest], scores[rows, given], strict=True
        )
    ]
    table = pd.DataFrame(
        {
            "quality": quality,
            "kind": "wrong_class",
            "image_id": crops["image_id"].to_numpy(),
            "annotation_id": crops["annotation_id"].to_numpy(),
            "category": names[given],
            **{edge: crops[edge].to_numpy() for edge in BOX},
            "new_category": np.where(new == given, names[likeliest], names[new]),
            "models": says,
        }
    )
    return candidates(truth, table)


def self_confidence(
    probabilities: NDArray[np.float64], given: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The probability of each label; (n,).

    Args:
        probabilities: (n, classes).
        given: (n,), the labels.

    >>> self_confidence(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([1, 0])).tolist()
    [0.25, 0.5]
    """
    return np.asarray(probabilities[np.arange(len(given)), given])


def normalized_margin(
    probabilities: NDArray[np.float64], given: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The probability of each label less that of the likeliest other class; (n,), from -1 to 1.

    Args:
        probabilities: (n, classes), two classes or more.
        given: (n,), the labels.

    >>> normalized_margin(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([1, 0])).tolist()
    [-0.5, 0.0]
    """
    others = probabilities.copy()
    others[np.arange(len(given)), given] = -np.inf
    return np.asarray(self_confidence(probabilities, given) - others.max(axis=1))


def class_thresholds(
    probabilities: NDArray[np.float64], given: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The mean self-confidence of what is labelled as each class; (classes,).

    Args:
        probabilities: (n, classes).
        given: (n,), the labels.

    Returns:
        Infinite for a class that nothing is labelled as: nothing says what is usual there.

    >>> class_thresholds(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 0])).tolist()
    [0.625, inf]
    """
    n_classes = probabilities.shape[1]
    count = np.bincount(given, minlength=n_classes)
    total = np.bincount(given, self_confidence(probabilities, given), minlength=n_classes)
    return np.where(count > 0, total / np.maximum(count, 1), np.inf)


def confident_classes(
    probabilities: NDArray[np.float64], given: NDArray[np.intp]
) -> NDArray[np.intp]:
    """The likeliest class of those whose threshold each reaches; (n,), -1 where there is none.

    Args:
        probabilities: (n, classes).
        given: (n,), the labels.

    >>> table = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.8, 0.2]])
    >>> confident_classes(table, np.array([0, 0, 1, 1])).tolist()
    [0, -1, 1, 0]
    """
    reached = probabilities >= class_thresholds(probabilities, given) - 1e-12
    best = np.where(reached, probabilities, -1).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1)
