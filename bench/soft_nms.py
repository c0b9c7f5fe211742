"""Soft-NMS and non-maximum weighted beside the ``ensemble-boxes`` package."""

from __future__ import annotations

import ensemble_boxes
import numpy as np
from ensemble_boxes.ensemble_boxes_nms import cpu_soft_nms_float

from bench.comparison import Row, show
from bench.wbf import TURNS, PeerInput, PeerOutput, compare, for_peer, random_members
from recycling.ensembling import non_maximum_weighted, soft_nms

DECAYS = {"linear": 1, "gaussian": 2}
"""And the numbers by which the peer knows them."""
LEAST_SCORE = 0.001


def run(*, quick: bool) -> list[Row]:
    n_images, turns = (30, 1) if quick else (600, TURNS)
    members = random_members(n_images, n_members=5, n_boxes=100, random_state=0)
    # What the peer takes, made ready beforehand: only its own work is on the clock.
    peer_input = [for_peer(members, image_id) for image_id in range(n_images)]
    size = f"{n_images} images x 5 x 100 boxes"
    rows = []
    for decay, number in DECAYS.items():
        rows.append(
            compare(
                f"Soft-NMS, {decay}, {size}",
                lambda decay=decay: soft_nms(
                    members, decay=decay, iou_threshold=0.5, sigma=0.5, score_threshold=LEAST_SCORE
                ),
                lambda one, number=number: ensemble_boxes.soft_nms(
                    *one, method=number, iou_thr=0.5, sigma=0.5, thresh=LEAST_SCORE
                ),
                peer_input,
                100,
                turns,
                lambda one, number=number: lowered(one, number),
            )
        )
    rows.append(
        compare(
            f"non-maximum weighted, {size}",
            lambda: non_maximum_weighted(members, iou_threshold=0.55),
            lambda one: ensemble_boxes.non_maximum_weighted(*one, iou_thr=0.55),
            peer_input,
            100,
            turns,
        )
    )
    show("compile time left out on both sides; ours from tables to a table, all cores", rows)
    return rows


def lowered(one: PeerInput, method: int) -> PeerOutput:
    """The peer's boxes with the scores that it lowers, not those that it gives them back."""
    all_boxes, all_scores, all_labels = (np.concatenate(column) for column in one)
    kept = []
    for label in np.unique(all_labels):
        own = all_labels == label
        boxes, scores = all_boxes[own], all_scores[own]
        keep = cpu_soft_nms_float(boxes.copy(), scores, 0.5, 0.5, LEAST_SCORE, method)
        stayed = scores[scores > LEAST_SCORE]
        kept.append(np.column_stack([boxes[keep], stayed, np.full(len(keep), label)]))
    rows = np.vstack(kept)
    return rows[:, :4], rows[:, 4], rows[:, 5]
