"""What calibrating scores before fusing is worth where some members are miscalibrated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from bench.drawn_members import DRAW, Kind, draw_world
from bench.worlds import CALIBRATOR, JUDGE
from recycling.ensembling import CALIBRATIONS, BoxFusion, ClassFusion, MaskFusion, fuse

KINDS: tuple[Kind, ...] = ("good", "good", "miscalibrated")

FUSED_BY: dict[str, tuple[Any, str]] = {
    "cls": (ClassFusion, "mean"),
    "det": (BoxFusion, "weighted_boxes_fusion"),
    "seg": (MaskFusion, "soft_vote"),
}


def run(*, quick: bool, n_worlds: int = 20, n_images: int = 500) -> pd.DataFrame:
    """Fuse two good members and a miscalibrated one, with calibrated scores and without.

    Returns:
        A row a world and task: the score on fresh images by each calibration.
    """
    if quick:
        n_worlds, n_images = 2, 60
    rows = [world(task, seed, n_images) for task in DRAW for seed in range(n_worlds)]
    results = pd.DataFrame(rows)
    title = f"score on {n_images} fresh images, learnt on {n_images}; {', '.join(KINDS)}"
    table = Table("task", "fused by", "calibrate", "mean score", "gain", "+- se", title=title)
    for task, own in results.groupby("task", sort=False):
        for name in CALIBRATIONS:
            gain = (own[name] - own["none"]).to_numpy()
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            table.add_row(
                str(task), FUSED_BY[str(task)][1], name, f"{own[name].mean():.4f}",
                f"{gain.mean():+.4f}", f"{error:.4f}",
            )  # fmt: skip
    console = Console(width=110)
    console.print(table)
    console.print("no ratio: this is about scores")
    return results


def world(task: str, seed: int, n_images: int) -> dict[str, Any]:
    """The score on fresh images by each calibration."""
    drawn = draw_world(task, seed, 2 * n_images, KINDS)
    known = np.arange(n_images)
    fresh = (np.arange(2 * n_images) >= n_images).astype(np.int64)[None]
    kind, method = FUSED_BY[task]
    members = drawn.probabilities or drawn.members
    scores: dict[str, Any] = {"task": task, "seed": seed}
    for name in CALIBRATIONS:
        fused = fuse(
            kind.model_validate({"method": method, "calibrate": name}),
            members,
            calibrators={
                member: CALIBRATOR[task](drawn, known, member, name) for member in members
            },
        )
        scores[name] = float(JUDGE[task](drawn)(fused)(fresh)[0])
    return scores
