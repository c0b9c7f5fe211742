"""Soft voting on probability planes beside numpy, and the memory of votes on many images."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.comparison import Row, by_turns, in_own_process, memory_mb, show
from recycling.ensembling import fuse_label_maps
from recycling.ensembling.masks.soft_vote import fuse_probability_maps, soft_vote
from recycling.predictions import LabelMaps
from recycling.predictions.probability_maps import ProbabilityMaps

WEIGHTS = (0.5, 1.0, 0.25, 0.7, 0.9, 0.3, 0.6)
ROUNDS = 5
"""How often both sides take turns, so that other programs disturb both."""

LEAST_RATIO = 1.5
"""What is less than this faster than numpy is left to numpy."""

Planes = NDArray[np.uint8]
Vote = Callable[[Planes], NDArray[np.uint8]]


def run(*, quick: bool) -> list[Row]:
    rows = show_speed(64 if quick else 512, rounds=1 if quick else ROUNDS)
    return rows + (show_memory(2, 4) if quick else show_memory(100, 1000))


def show_speed(side: int, *, rounds: int) -> list[Row]:
    """Compare one image's vote on planes of bytes with numpy's."""
    planes = random_planes(n_members=len(WEIGHTS), n_classes=11, side=side, random_state=0)
    soft_vote(planes, weights=WEIGHTS)
    rows = []
    for name, peer in {
        "np.tensordot, argmax": tensordot,
        "np.average, argmax": average,
    }.items():
        timed = by_turns(
            rounds,
            {"ours": partial(soft_vote, planes, weights=WEIGHTS), "peer": partial(peer, planes)},
        )
        (ours, fused), (theirs, other) = timed.values()
        check_same(planes, fused, other)
        what = f"soft vote, {len(WEIGHTS)} x 11 {planes.dtype} planes of {side} x {side}"
        rows.append(Row(what, name, theirs, ours, LEAST_RATIO))
    show("compile time left out; equal but where two sums are the same to float32", rows)
    return rows


def tensordot(planes: Planes) -> NDArray[np.uint8]:
    """Planes become float32 and are summed by BLAS."""
    weights = np.asarray(WEIGHTS, dtype=np.float32)
    return np.tensordot(weights, planes, 1).argmax(0).astype(np.uint8)


def average(planes: Planes) -> NDArray[np.uint8]:
    """What one writes first; sums in float64."""
    return np.average(planes, axis=0, weights=WEIGHTS).argmax(0).astype(np.uint8)


def check_same(planes: Planes, ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> None:
    """Stop where the votes differ by more than float32's rounding."""
    sums = np.tensordot(np.asarray(WEIGHTS), planes, 1)
    of_ours = np.take_along_axis(sums, ours[None].astype(np.int64), 0)
    of_theirs = np.take_along_axis(sums, theirs[None].astype(np.int64), 0)
    np.testing.assert_allclose(of_ours, of_theirs, rtol=1e-6)


def random_planes(
    *, n_members: int, n_classes: int, side: int, random_state: int
) -> NDArray[np.uint8]:
    """Probabilities at random, of sum 255 but for rounding."""
    rng = np.random.default_rng(random_state)
    odds = rng.random((n_members, n_classes, side, side), dtype=np.float32) ** 4
    return np.rint(odds / odds.sum(1, keepdims=True) * 255).astype(np.uint8)


def show_memory(few: int, many: int) -> list[Row]:
    """Print the memory of votes on few and on many images, a process each."""
    table = Table("vote", "images", "s", "MB beyond the first image")
    table.title = "5 members of 512 x 512 (soft: 11 classes), images made when they are asked for"
    rows = []
    for kind in VOTES:
        seconds = {}
        for n_images in (few, many):
            seconds[n_images], megabytes = in_own_process("bench.soft_vote", kind, n_images)
            table.add_row(kind, f"{n_images}", f"{seconds[n_images]:.2f}", f"{megabytes:.1f}")
        # The peer is linear growth, so that a ratio of 1 or more is what to see.
        linear = seconds[few] * many / few
        rows.append(
            Row(
                f"{kind} vote on {many} images",
                f"{many // few} x {few} images",
                linear,
                seconds[many],
            )
        )
    Console(width=110).print(table)
    show("time grows with the number of images", rows)
    return rows


def streamed_hard(n_images: int) -> LabelMaps:
    maps = np.random.default_rng(0).integers(0, 11, (5, 512, 512), dtype=np.uint8)
    members = [LabelMaps(range(n_images), lambda _, own=own: own.copy()) for own in maps]
    return fuse_label_maps(members, ranks=list(range(5)))


def streamed_soft(n_images: int) -> LabelMaps:
    planes = random_planes(n_members=5, n_classes=11, side=512, random_state=0)
    members = [ProbabilityMaps(range(n_images), lambda _, own=own: own.copy()) for own in planes]
    return fuse_probability_maps(members, weights=WEIGHTS[:5])


VOTES = {"hard": streamed_hard, "soft": streamed_soft}


def measured(kind: str, n_images: int) -> tuple[float, float]:
    """Seconds for all images, and memory's peak beyond that of the first image."""
    fused = VOTES[kind](n_images)
    fused[0]
    before = memory_mb("VmHWM")
    start = time.perf_counter()
    for _, label_map in fused.items():
        label_map.max()
    return time.perf_counter() - start, memory_mb("VmHWM") - before


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
