"""Score and category of a cluster of boxes."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from recycling.ensembling.boxes.tables import Boxes, Floats, Ints

Confidence: TypeAlias = Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]
"""How sure a fused box is."""


def cluster_scores(confidence: Confidence, boxes: Boxes, cluster: Ints, best: Ints) -> Floats:
    """The scores of clusters, at most 1: step 7 of Solovyev et al. (2021), and three other ways.

    Args:
        confidence: How the score is made; see `weighted_boxes_fusion`.
        boxes: The boxes.
        cluster: (boxes,), the cluster of each.
        best: (clusters,), the best box of each cluster.

    Returns:
        (clusters,).
    """
    weights = boxes.weights
    sum_score = np.bincount(cluster, weights=boxes.score)
    if confidence == "avg":
        n_boxes = np.bincount(cluster)
        n_members = np.count_nonzero(weights)
        score = sum_score / n_boxes * np.minimum(n_members, n_boxes) / _sum(weights)
    elif confidence == "max":
        score = boxes.score[best] / weights.max()
    else:
        found = np.zeros((len(best), len(weights)), dtype=np.bool_)
        found[cluster, boxes.member] = True
        present = _sum(np.where(found, weights, 0.0))
        absent = _sum(np.where(found, 0.0, weights))
        sum_weight = np.bincount(cluster, weights=boxes.weight)
        if confidence == "box_and_model_avg":
            score = sum_score / sum_weight * present / (present + absent)
        else:
            score = sum_score / (sum_weight + absent)
    return np.asarray(np.minimum(score, 1.0))


def heaviest_category(boxes: Boxes, cluster: Ints) -> Ints:
    """The category with the highest sum of weighted scores in each cluster.

    Of equals, that of the better box.

    Args:
        boxes: The boxes.
        cluster: (boxes,), the cluster of each.

    Returns:
        (clusters,), indices of categories.
    """
    n_categories = len(boxes.category_ids)
    pair, first_box, pair_of = np.unique(
        cluster * n_categories + boxes.category, return_index=True, return_inverse=True
    )
    sum_score = np.bincount(pair_of, weights=boxes.score)
    pair = pair[np.lexsort((first_box, -sum_score, pair // n_categories))]
    first_of_cluster = np.flatnonzero(np.diff(pair // n_categories, prepend=-1))
    return np.asarray(pair[first_of_cluster] % n_categories)


def _sum(by_member: Floats) -> Floats:
    """The sum over members, one after the other: numpy's own order hangs on how many they are."""
    return np.asarray(by_member.cumsum(axis=-1)[..., -1])
