"""The clustering of weighted boxes fusion, compiled by numba.

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
    """Cluster the boxes of each group: steps 2 to 6 of Solovyev et al. (2021).

    Args:
        offsets: (groups + 1,), where each group begins.
        score: (boxes,), times the member's weight; the highest of each group first.
        x_min: (boxes,).
        y_min: (boxes,).
        x_max: (boxes,).
        y_max: (boxes,).
        iou_threshold: A box joins the cluster that it overlaps most, if by more than this.
        cluster_of: (boxes,), filled with the cluster of each box.
        best_of: (boxes,), filled with the best box of each cluster.
        fused: (4, boxes), filled with the fused box of each cluster.

    Returns:
        How many clusters there are.
    """
    left, top, right, bottom = fused[0], fused[1], fused[2], fused[3]
    # Over the boxes of each cluster: sums of the score, and of score times coordinate.
    sum_score = np.empty(len(score))
    sum_left, sum_top = np.empty(len(score)), np.empty(len(score))
    sum_right, sum_bottom = np.empty(len(score)), np.empty(len(score))
    n_clusters = 0
    for group in range(len(offsets) - 1):
        first_cluster = n_clusters
        # Step 3: take the boxes by their score, highest first ...
        for box in range(offsets[group], offsets[group + 1]):
            area = (x_max[box] - x_min[box]) * (y_max[box] - y_min[box])
            # ... and find the fused box that each overlaps most; of equals the first.
            best, best_iou = -1, iou_threshold
            for cluster in range(first_cluster, n_clusters):
                width = min(x_max[box], right[cluster]) - max(x_min[box], left[cluster])
                height = min(y_max[box], bottom[cluster]) - max(y_min[box], top[cluster])
                if width > 0 and height > 0:
                    shared = width * height
                    fused_area = (right[cluster] - left[cluster]) * (bottom[cluster] - top[cluster])
                    iou = shared / (fused_area + area - shared)
                    if iou > best_iou:
                        best, best_iou = cluster, iou
            if best < 0:
                # Step 4: there is none. The box begins a cluster, and is its fused box.
                best = n_clusters
                n_clusters += 1
                best_of[best] = box
                left[best], top[best] = x_min[box], y_min[box]
                right[best], bottom[best] = x_max[box], y_max[box]
                sum_score[best] = 0.0
                sum_left[best] = sum_top[best] = sum_right[best] = sum_bottom[best] = 0.0
            # Step 5: add the box to the cluster.
            cluster_of[box] = best
            sum_score[best] += score[box]
            sum_left[best] += score[box] * x_min[box]
            sum_top[best] += score[box] * y_min[box]
            sum_right[best] += score[box] * x_max[box]
            sum_bottom[best] += score[box] * y_max[box]
            # Step 6: the fused box becomes the mean, weighted by scores. A box that is alone stays
            # as it is, to the last bit; so does the first where all scores are 0.
            if best_of[best] != box and sum_score[best] > 0.0:
                left[best] = sum_left[best] / sum_score[best]
                top[best] = sum_top[best] / sum_score[best]
                right[best] = sum_right[best] / sum_score[best]
                bottom[best] = sum_bottom[best] / sum_score[best]
    return n_clusters
