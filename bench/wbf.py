"""Weighted boxes fusion and NMS beside the ``ensemble-boxes`` package, and on ever more boxes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import ensemble_boxes
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.comparison import Row, by_turns, in_own_process, memory_mb, show
from recycling.ensembling import nms, weighted_boxes_fusion
from recycling.predictions import DETECTIONS, Detections

SIDE = 1024
BOX = ["x_min", "y_min", "x_max", "y_max"]
N_CATEGORIES = 10

N_MEMBERS, N_BOXES = 5, 100  # on each image

TURNS = 5
"""Of both sides; see `by_turns`."""

PeerInput = tuple[list[NDArray[np.float64]], list[NDArray[np.float64]], list[NDArray[np.int64]]]
PeerOutput = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Growth:
    """What fusing many boxes took, in a process of its own.

    Attributes:
        seconds: The median of three times.
        input_mb: The members' tables.
        output_mb: The fused table.
        extra_mb: Peak memory beyond what the process held with the input alone, result included.
    """

    seconds: float
    input_mb: float
    output_mb: float
    extra_mb: float


def run(*, quick: bool) -> list[Row]:
    n_images, turns = (40, 1) if quick else (600, TURNS)
    members = random_members(n_images, n_members=N_MEMBERS, n_boxes=N_BOXES, random_state=0)
    # What the peer takes, made ready beforehand: only its own work is on the clock.
    peer_input = [for_peer(members, image_id) for image_id in range(n_images)]
    size = f"{n_images} images x {N_MEMBERS} x {N_BOXES} boxes"
    rows = []
    for name, ours, peer, target in (
        (
            "weighted boxes fusion",
            lambda: weighted_boxes_fusion(members, iou_threshold=0.55),
            lambda one: ensemble_boxes.weighted_boxes_fusion(*one, iou_thr=0.55),
            200,
        ),
        (
            "NMS",
            lambda: nms(members, iou_threshold=0.5),
            lambda one: ensemble_boxes.nms(*one, iou_thr=0.5),
            10,
        ),
    ):
        rows.append(compare(f"{name}, {size}", ours, peer, peer_input, target, turns))
    show("compile time left out on both sides; ours from tables to a table, all cores", rows)
    show_growth(10_000, 100_000) if quick else show_growth(100_000, 1_000_000, 10_000_000)
    return rows


def show_growth(*sizes: int) -> None:
    """Print time and memory of weighted boxes fusion on ever more boxes."""
    table = Table("boxes", "s", "ns a box", "MB input", "MB output", "MB at the peak beyond input")
    for n_boxes in sizes:
        growth = Growth(**in_own_process("bench.wbf", n_boxes))
        table.add_row(
            f"{n_boxes:,}",
            f"{growth.seconds:.3f}",
            f"{growth.seconds / n_boxes * 1e9:.0f}",
            f"{growth.input_mb:.0f}",
            f"{growth.output_mb:.0f}",
            f"{growth.extra_mb:.0f}",
        )
    table.title = "weighted boxes fusion grows with the boxes, its memory with the result"
    table.caption = "a process each"
    Console(width=110).print(table)


def fuse_many(n_boxes: int) -> Growth:
    """Fuse that many boxes, on as many images as they are enough for."""
    n_images = n_boxes // (N_MEMBERS * N_BOXES)
    members = random_members(n_images, n_members=N_MEMBERS, n_boxes=N_BOXES, random_state=0)
    few = [Detections(member[: N_BOXES * 20]) for member in members]
    weighted_boxes_fusion(few)  # what is compiled is read from the disk
    # Linux: from here on the peak counts anew.
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_mb("VmRSS")
    fused = weighted_boxes_fusion(members)
    peak = memory_mb("VmHWM")
    input_mb = sum(megabytes(member) for member in members)
    output_mb = megabytes(fused)
    del fused
    timed = by_turns(3, {"ours": lambda: weighted_boxes_fusion(members)})
    return Growth(timed["ours"][0], input_mb, output_mb, peak - before)


def megabytes(table: Detections) -> float:
    """What a table's values take."""
    return float(table.memory_usage(index=False).sum()) / 2**20


def compare(
    what: str,
    ours: Callable[[], Detections],
    peer: Callable[[PeerInput], PeerOutput],
    peer_input: list[PeerInput],
    target: float,
    turns: int,
    expected: Callable[[PeerInput], PeerOutput] | None = None,
) -> Row:
    """Time both and check that they give the same boxes, but for the peer's rounding to float32.

    Args:
        what: What is done, on what.
        ours: Fuses all images.
        peer: Fuses one.
        peer_input: Of each image.
        target: The ratio aimed at.
        turns: Of both sides.
        expected: The boxes of an image, where ours are not to be those that `peer` gives.
    """
    ours()
    peer(peer_input[0])
    timed = by_turns(turns, {"ours": ours, "peer": lambda: [peer(one) for one in peer_input]})
    our_seconds, fused = timed["ours"]
    peer_seconds, theirs = timed["peer"]
    if expected is not None:
        theirs = [expected(one) for one in peer_input]
    by_image = dict(list(fused.groupby("image_id")))
    for image_id, (boxes, scores, labels) in enumerate(theirs):
        order = np.lexsort((scores, boxes[:, 0], labels))
        mine = by_image[image_id].sort_values(["category_id", "x_min", "score"])
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


if __name__ == "__main__":
    print(json.dumps(asdict(fuse_many(int(sys.argv[1])))))
