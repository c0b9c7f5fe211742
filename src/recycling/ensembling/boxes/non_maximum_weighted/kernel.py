"""Non-maximum weighted, compiled by numba.

It calls no compiled function of another file: numba's cache notices changes to its own file only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recycling.compiled import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def cluster_boxes(
    offsets: Ints,
    score: Floats,
    x_min: Floats,
    y_min: Floats,
    x_max: Floats,
    y_max: Floats,
    iou_threshold: float,
    cluster_of: Ints,
    best_of: Ints,
    fused: Floats,
) -> int:
    """Cluster the boxes of each group around the best ones (Zhou et al., 2017).

    Args:
        offsets: (groups + 1,), where each group begins.
        score: (boxes,), times the member's weight; the highest of each group first.
        x_min: (boxes,).
        y_min: (boxes,).
        x_max: (boxes,).
        y_max: (boxes,).
        iou_threshold: A box joins the best box that it overlaps most, if by more than this.
        cluster_of: (boxes,), filled with the cluster of each box.
        best_of: (boxes,), filled with the best box of each cluster.
        fused: (4, boxes), filled with the fused box of each cluster.

    Returns:
        How many clusters there are.
    """
    left, top, right, bottom = fused[0], fused[1], fused[2], fused[3]
    sum_weight = np.empty(len(score))
    n_clusters = 0
    for group in range(len(offsets) - 1):
        first_cluster = n_clusters
        # Take the boxes by their score, highest first.
        for box in range(offsets[group], offsets[group + 1]):
            area = (x_max[box] - x_min[box]) * (y_max[box] - y_min[box])
            # Find the best box that it overlaps most; of equals the first.
            joined, joined_iou = -1, iou_threshold
            for cluster in range(first_cluster, n_clusters):
                best = best_of[cluster]
                width = min(x_max[box], x_max[best]) - max(x_min[box], x_min[best])
                height = min(y_max[box], y_max[best]) - max(y_min[box], y_min[best])
                if width > 0 and height > 0:
                    shared = width * height
                    best_area = (x_max[best] - x_min[best]) * (y_max[best] - y_min[best])
                    iou = shared / (best_area + area - shared)
                    if iou > joined_iou:
                        joined, joined_iou = cluster, iou
            if joined < 0:
                # There is none: it is a best box itself, and counts in full.
                joined = n_clusters
                n_clusters += 1
                best_of[joined] = box
                sum_weight[joined] = 1.0
                left[joined], top[joined] = x_min[box], y_min[box]
                right[joined], bottom[joined] = x_max[box], y_max[box]
            elif score[best_of[joined]] > 0.0:
                # It counts by its score, as a share of the best box's, and by how much it overlaps
                # that. Where scores are all 0 the best box stays as it is.
                weight = score[box] / score[best_of[joined]] * joined_iou
                sum_weight[joined] += weight
                left[joined] += weight * x_min[box]
                top[joined] += weight * y_min[box]
                right[joined] += weight * x_max[box]
                bottom[joined] += weight * y_max[box]
            cluster_of[box] = joined
    # The fused box is the weighted mean.
    for cluster in range(n_clusters):
        left[cluster] /= sum_weight[cluster]
        top[cluster] /= sum_weight[cluster]
        right[cluster] /= sum_weight[cluster]
        bottom[cluster] /= sum_weight[cluster]
    return n_clusters
