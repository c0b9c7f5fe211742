"""Weighted boxes fusion and NMS beside the ``ensemble-boxes`` package."""

from __future__ import annotations

from collections.abc import Callable

import ensemble_boxes
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.comparison import Row, best_of, show
from recycling.ensembling import nms, weighted_boxes_fusion
from recycling.predictions import DETECTIONS, Detections

SIDE = 1024
BOX = ["x_min", "y_min", "x_max", "y_max"]
N_CATEGORIES = 10

PeerInput = tuple[list[NDArray[np.float64]], list[NDArray[np.float64]], list[NDArray[np.int64]]]


def run(*, quick: bool) -> list[Row]:
    n_images = 40 if quick else 600
    members = random_members(n_images, n_members=5, n_boxes=100, random_state=0)
    # What the peer takes, made ready beforehand: only its own work is on the clock.
    peer_input = [for_peer(members, image_id) for image_id in range(n_images)]
    size = f"{n_images} images x 5 x 100 boxes"
    rows = []
    for name, ours, peer, target in (
        (
            "weighted boxes fusion",
            lambda: weighted_boxes_fusion(members, iou_threshold=0.55),
            lambda one: ensemble_boxes.weighted_boxes_fusion(*one, iou_thr=0.55),
            600,
        ),
        (
            "NMS",
            lambda: nms(members, iou_threshold=0.5),
            lambda one: ensemble_boxes.nms(*one, iou_thr=0.5),
            1,
        ),
    ):
        rows.append(compare(f"{name}, {size}", ours, peer, peer_input, target))
    show("compile time left out on both sides; ours from tables to a table, all cores", rows)
    return rows


def compare(
    what: str,
    ours: Callable[[], Detections],
    peer: Callable[[PeerInput], tuple[NDArray[np.float64], ...]],
    peer_input: list[PeerInput],
    target: float,
) -> Row:
    """Time both and check that they give the same boxes."""
    ours()
    peer(peer_input[0])
    our_seconds, fused = best_of(7, ours)
    peer_seconds, theirs = best_of(1, lambda: [peer(one) for one in peer_input])
    by_image = dict(list(fused.groupby("image_id")))
    for image_id, (boxes, scores, labels) in enumerate(theirs):
        table = by_image[image_id]
        order = np.lexsort((boxes[:, 0], -scores))
        mine = table.iloc[np.lexsort((table["x_min"], -table["score"]))]
        np.testing.assert_array_equal(mine["category_id"], labels[order])
        np.testing.assert_allclose(mine["score"], scores[order], rtol=1e-5)
        np.testing.assert_allclose(mine[BOX].to_numpy() / SIDE, boxes[order], atol=1e-5)
    return Row(what, "ensemble-boxes", peer_seconds, our_seconds, target)


def random_members(
    n_images: int, *, n_members: int, n_boxes: int, random_state: int
) -> list[Detections]:
    """Detectors that see the same objects, each a few pixels off and with its own scores."""
    rng = np.random.default_rng(random_state)
    corner = rng.uniform(0, 0.95 * SIDE, (n_images * n_boxes, 2))
    objects = np.hstack([corner, corner + rng.uniform(40, 300, corner.shape)])
    category_id = rng.integers(0, N_CATEGORIES, len(objects))
    members = []
    for _ in range(n_members):
        boxes = np.clip(objects + rng.normal(0, 4, objects.shape), 0, SIDE)
        table = pd.DataFrame(boxes, columns=BOX)
        table["image_id"] = np.repeat(np.arange(n_images), n_boxes)
        table["category_id"] = category_id
        table["score"] = rng.uniform(0, 1, len(objects))
        members.append(Detections(DETECTIONS.conform(table, where="random boxes")))
    return members


def for_peer(members: list[Detections], image_id: int) -> PeerInput:
    """One image's boxes the way the peer wants them: lists by member, coordinates from 0 to 1."""
    tables = [member[member["image_id"] == image_id] for member in members]
    return (
        [table[BOX].to_numpy() / SIDE for table in tables],
        [table["score"].to_numpy() for table in tables],
        [table["category_id"].to_numpy() for table in tables],
    )
