"""Soft-NMS and non-maximum weighted beside the ``ensemble-boxes`` package."""

from __future__ import annotations

from collections.abc import Callable

import ensemble_boxes
import numpy as np
import pandas as pd
from ensemble_boxes.ensemble_boxes_nms import cpu_soft_nms_float
from numpy.typing import NDArray

from bench.comparison import Row, by_turns, show
from bench.wbf import BOX, SIDE, TURNS, PeerInput, for_peer, random_members
from recycling.ensembling import non_maximum_weighted, soft_nms
from recycling.predictions import Detections

DECAYS = {"linear": 1, "gaussian": 2}
"""And the numbers by which the peer knows them."""
LEAST_SCORE = 0.001

PeerOutput = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def run(*, quick: bool) -> list[Row]:
    n_images, turns = (30, 1) if quick else (600, TURNS)
    members = random_members(n_images, n_members=5, n_boxes=100, random_state=0)
    # What the peer takes, made ready beforehand: only its own work is on the clock.
    peer_input = [for_peer(members, image_id) for image_id in range(n_images)]
    size = f"{n_images} images x 5 x 100 boxes"
    rows = []
    for decay, number in DECAYS.items():
        peer_seconds, our_seconds, fused = timed(
            lambda decay=decay: soft_nms(
                members, decay=decay, iou_threshold=0.5, sigma=0.5, score_threshold=LEAST_SCORE
            ),
            lambda one, number=number: ensemble_boxes.soft_nms(
                *one, method=number, iou_thr=0.5, sigma=0.5, thresh=LEAST_SCORE
            ),
            peer_input,
            turns,
        )
        check(fused, [lowered(one, number) for one in peer_input])
        what = f"Soft-NMS, {decay}, {size}"
        rows.append(Row(what, "ensemble-boxes", peer_seconds, our_seconds, 100))
    peer_seconds, our_seconds, fused = timed(
        lambda: non_maximum_weighted(members, iou_threshold=0.55),
        lambda one: ensemble_boxes.non_maximum_weighted(*one, iou_thr=0.55),
        peer_input,
        turns,
    )
    theirs = [ensemble_boxes.non_maximum_weighted(*one, iou_thr=0.55) for one in peer_input]
    check(fused, theirs)
    what = f"non-maximum weighted, {size}"
    rows.append(Row(what, "ensemble-boxes", peer_seconds, our_seconds, 100))
    show("compile time left out on both sides; ours from tables to a table, all cores", rows)
    return rows


def timed(
    ours: Callable[[], Detections],
    peer: Callable[[PeerInput], PeerOutput],
    peer_input: list[PeerInput],
    turns: int,
) -> tuple[float, float, Detections]:
    """The peer's seconds, ours, and our result."""
    ours()
    peer(peer_input[0])
    both = by_turns(turns, {"ours": ours, "peer": lambda: [peer(one) for one in peer_input]})
    our_seconds, fused = both["ours"]
    return both["peer"][0], our_seconds, fused


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


def check(fused: Detections, theirs: list[PeerOutput]) -> None:
    """Refuse a result that is not the peer's, but for its rounding to float32."""
    by_image = dict(list(fused.groupby("image_id")))
    for image_id, (boxes, scores, labels) in enumerate(theirs):
        table: pd.DataFrame = by_image[image_id]
        order = np.lexsort((scores, boxes[:, 0], labels))
        mine = table.sort_values(["category_id", "x_min", "score"])
        np.testing.assert_array_equal(mine["category_id"], labels[order])
        np.testing.assert_allclose(mine["score"], scores[order], rtol=1e-5)
        np.testing.assert_allclose(mine[BOX].to_numpy() / SIDE, boxes[order], atol=1e-5)
