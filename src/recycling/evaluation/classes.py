"""F1, accuracy and confusion of class probabilities."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations
from recycling.evaluation.core import EvaluationError, Metrics
from recycling.predictions import CLASS_PROBABILITIES, ClassProbabilities


def class_metrics(
    truth: Annotations,
    probabilities: ClassProbabilities,
    metric: Literal["macro F1", "accuracy"],
) -> Metrics:
    """How often the most likely class of a crop is the true one.

    Args:
        truth: The annotations whose crops were classified; crowd regions are left out.
        probabilities: A row for each annotation, a column for each category's name; schema
            `recycling.predictions.CLASS_PROBABILITIES`.
        metric: Which of the figures is the score: the mean F1 of the categories that the truth
            holds, or the share of crops.

    Returns:
        The score, and by class the F1, or the recall for the accuracy. Details: ``accuracy``,
        ``log_loss`` (natural log, of rows scaled to sum to 1), ``classes_without_truth``, and
        ``macro F1`` where it is not the score.

    Raises:
        EvaluationError: The truth is empty, an annotation has no row or a row no annotation, a
            category has no column, or a row is no distribution.
    """
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    expected, scores = matched_crops(truth, probabilities)
    predicted = scores.argmax(axis=1)
    of_truth = scores[np.arange(len(expected)), expected]
    present = np.unique(expected)
    names = truth.categories["name"].to_numpy(dtype=object)
    f1 = f1_score(expected, predicted, labels=present, average=None, zero_division=0)
    details = {
        "accuracy": float(accuracy_score(expected, predicted)),
        "log_loss": float(-np.log(np.maximum(of_truth, np.finfo(np.float64).eps)).mean()),
        "classes_without_truth": float(len(names) - len(present)),
    }
    score, by_class = float(f1.mean()), f1
    if metric == "accuracy":
        details["macro F1"] = score
        score = details["accuracy"]
        by_class = recall_score(expected, predicted, labels=present, average=None)
    per_class = dict(zip(names[present].tolist(), by_class.tolist(), strict=True))
    return Metrics(metric, score, per_class, details)


def confusion(truth: Annotations, probabilities: ClassProbabilities) -> pd.DataFrame:
    """How often a category was taken for which.

    Args:
        truth: As for `class_metrics`.
        probabilities: As for `class_metrics`.

    Returns:
        int64 counts: a row for each true category, a column for each predicted one, by name in the
        order of the categories.

    Raises:
        EvaluationError: As `class_metrics` does.
    """
    expected, scores = matched_crops(truth, probabilities)
    names = truth.categories["name"].tolist()
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (expected, scores.argmax(axis=1)), 1)
    return pd.DataFrame(
        counts, index=pd.Index(names, name="truth"), columns=pd.Index(names, name="predicted")
    )


def matched_crops(
    truth: Annotations, probabilities: ClassProbabilities
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """What each crop is and was predicted to be; crops are the annotations that are no crowd.

    Returns:
        The row of its category in the truth (crops,), and its probabilities (crops, categories),
        which sum to 1; crops in the order of the truth.

    Raises:
        EvaluationError: As `class_metrics` does.
    """
    crops = truth.annotations[~truth.annotations["iscrowd"]]
    if crops.empty:
        raise EvaluationError("truth: no annotation to classify; evaluate on labelled images")
    names = truth.categories["name"].tolist()
    _check(truth, crops["annotation_id"], probabilities)
    table = CLASS_PROBABILITIES.conform(probabilities, where="class probabilities")
    scores = table.set_index("annotation_id").loc[crops["annotation_id"], names].to_numpy("float64")
    bad = ~np.isfinite(scores).all(axis=1) | (scores < 0).any(axis=1) | ~scores.any(axis=1)
    if bad.any():
        raise EvaluationError(
            f"class probabilities: those of annotation {crops['annotation_id'][bad].iloc[0]} are "
            f"not finite, negative or all 0; {int(bad.sum())} of {len(bad)} rows are like that"
        )
    expected = pd.Index(truth.categories["category_id"]).get_indexer(crops["category_id"])
    return expected, scores / scores.sum(axis=1, keepdims=True)


def _check(truth: Annotations, crops: pd.Series[int], probabilities: ClassProbabilities) -> None:
    names = truth.categories["name"].tolist()
    without_column = [name for name in names if name not in probabilities.columns]
    if without_column:
        raise EvaluationError(
            f"class probabilities: no column for category {without_column[0]!r}; "
            f"there should be one for each of {', '.join(names)}"
        )
    strange_columns = [
        name for name in probabilities.columns if name not in ("annotation_id", *names)
    ]
    if strange_columns:
        raise EvaluationError(
            f"class probabilities: column {strange_columns[0]!r} is no category of the truth; "
            f"its categories are {', '.join(names)}: name all classes where its labels are read"
        )
    known = truth.annotations["annotation_id"]
    for ids, others, fault in (
        (crops, probabilities["annotation_id"], "has no row"),
        (probabilities["annotation_id"], known, "is not in the truth"),
    ):
        strange = ids[~ids.isin(others)]
        if len(strange):
            raise EvaluationError(
                f"class probabilities: annotation {strange.iloc[0]} {fault}; {len(strange)} of "
                f"{len(ids)} are like that; predict on the crops of the truth"
            )
