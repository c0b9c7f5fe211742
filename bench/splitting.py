"""Folds of every method: how even, how fast, how much memory; and the peer's on the same rows."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from rich.console import Console
from rich.table import Table

from bench.comparison import Row, in_own_process, memory_mb, show
from bench.drawn_members import annotations_of
from recycling.annotations import BOX, Annotations, read_coco
from recycling.splitting import (
    MultilabelStratifiedGroupKFold,
    Splitting,
    make_folds,
    max_deviation,
)

BALANCED = ("category_counts", "category_presence", "box_area_tercile", "number_of_categories")
MEASURED = (*BALANCED, "area_tercile")
HEADINGS = ("annotation share", "presence", "box area", "number", "covered area")

METHODS = {
    "random": Splitting(method="random"),
    "stratified": Splitting(method="stratified"),
    "stratified_group": Splitting(method="stratified_group"),
    "joint_labels": Splitting(method="joint_labels"),
    "multilabel_stratified, box area": Splitting(method="multilabel_stratified", axes=BALANCED),
    "ours, default axes": Splitting(),
    "ours, box area": Splitting(axes=BALANCED),
    "ours, all five axes": Splitting(axes=MEASURED),
}
BREAKS_GROUPS = ("stratified", "multilabel_stratified")

# Figures for the competition's annotations that others measured, and what ours is to reach.
OTHERS = {
    "a team's folds (published)": (1.63, 2.55, 4.57, 2.73),
    "iterstrat on categories (published)": (2.52, 1.25, 1.67, 2.33),
    "iterstrat on indicators (published)": (1.79, 0.49, 0.08, 0.08),
    "StratifiedGroupKFold (published)": (0.02, 1.00, 0.79, 1.06),
    "240 joint labels (published)": (2.72, 0.86, 0.28, 0.63),
    "target": (0.05, 0.12, 0.12, 0.12, 0.12),
}
OTHERS_IN_GROUPS = {"target": (0.3, 0.3, 0.3, 0.3, 0.3)}

PEER = "iterative-stratification"
N_SPLITS = 5
N_COLUMNS = 32
N_CATEGORIES = 10
SIDE = 1024


@dataclass(frozen=True)
class Split:
    """What splitting a matrix took, in a process of its own.

    Attributes:
        seconds: From the matrix to the folds.
        extra_mb: Peak memory beyond what the process held with the matrix alone.
        peak_mb: Peak memory of the whole process.
        off_by: Largest deviation of a fold's sum of a column from its even share.
    """

    seconds: float
    extra_mb: float
    peak_mb: float
    off_by: float


def run(*, quick: bool) -> list[Row]:
    root = None if quick else os.environ.get("AISTAGES_ROOT")
    if root:
        annotations = read_coco(Path(root) / "annotations.json.gz")
        name, others, others_in_groups = "the competition's annotations", OTHERS, OTHERS_IN_GROUPS
    else:
        annotations = random_annotations(400 if quick else 4883, random_state=0)
        name, others, others_in_groups = "annotations made on the spot, not real ones", {}, {}
    n_images = len(annotations.images)
    show_deviations(f"{name}: {n_images} images", annotations, others)
    groups = np.random.default_rng(0).integers(0, n_images // 3, n_images)
    images = annotations.images.assign(group=pd.Series(groups).astype("string"))
    grouped = Annotations(images, annotations.annotations, annotations.categories)
    title = f"{name}: {n_images} images in groups of three on average"
    show_deviations(title, grouped, others_in_groups)
    return show_sizes(10_000) if quick else show_sizes(20_000, 1_000_000)


def show_deviations(
    title: str, annotations: Annotations, others: Mapping[str, tuple[float, ...]]
) -> None:
    """Print the largest deviation on each axis, by method."""
    alone = annotations.images["group"].is_unique
    table = Table("five folds made with", *HEADINGS, "sizes", "s", title=title)
    for name, figures in others.items():
        table.add_row(name, *(f"{figure:.2f}" for figure in figures))
    for name, settings in METHODS.items():
        if settings.method in BREAKS_GROUPS and not alone:
            continue
        start = time.perf_counter()
        folds = make_folds(annotations, settings)
        seconds = time.perf_counter() - start
        deviations = max_deviation(annotations, folds, MEASURED)["deviation"]
        sizes = folds["fold"].value_counts()
        table.add_row(
            name,
            *(f"{d:.3f}" for d in deviations),
            f"{sizes.min()}-{sizes.max()}",
            f"{seconds:.1f}",
        )
    table.caption = "largest deviation of any fold from the whole set, percentage points"
    Console(width=130).print(table)


def show_sizes(*sizes: int) -> list[Row]:
    """Print time and memory on matrices, and give the comparisons with the peer."""
    cases = [(who, n_rows) for n_rows in sizes for who in ("ours, indicators", PEER)]
    cases += [(f"ours, counts{groups}", sizes[-1]) for groups in ("", " in groups of three")]
    splits = {case: Split(**in_own_process("bench.splitting", *case)) for case in cases}
    table = Table("what", "rows x columns", "s", "MB beyond input", "MB in all", "off by at most")
    table.title = "target: 1,000,000 x 32 under 60 s and 2 GB; a process each"
    for (who, n_rows), split in splits.items():
        table.add_row(
            who,
            f"{n_rows:,} x {N_COLUMNS}",
            f"{split.seconds:.1f}",
            f"{split.extra_mb:.0f}",
            f"{split.peak_mb:.0f}",
            f"{split.off_by:.1f}",
        )
    table.caption = "off by: a fold's sum of a column, from its even share"
    Console(width=110).print(table)
    rows = [
        Row(
            f"{n_rows:,} x {N_COLUMNS} indicators",
            PEER,
            splits[PEER, n_rows].seconds,
            splits["ours, indicators", n_rows].seconds,
        )
        for n_rows in sizes
    ]
    show("folds of rows without groups; the peer knows no groups and no counts", rows)
    return rows


def split_matrix(who: str, n_rows: int) -> Split:
    """Split a matrix of 32 columns, the rarest on one row of a thousand."""
    rng = np.random.default_rng(0)
    y = rng.poisson(np.geomspace(0.001, 1, N_COLUMNS), (n_rows, N_COLUMNS))
    groups = rng.integers(0, n_rows // 3, n_rows) if "groups" in who else np.arange(n_rows)
    if "counts" not in who:
        y = (y > 0).astype(np.int64)
    kind = MultilabelStratifiedKFold if who == PEER else MultilabelStratifiedGroupKFold
    splitter = kind(n_splits=N_SPLITS, shuffle=True, random_state=0)
    before = memory_mb("VmRSS")
    start = time.perf_counter()
    sums = [y[test].sum(axis=0) for _, test in splitter.split(y, y, groups)]
    seconds = time.perf_counter() - start
    peak = memory_mb("VmHWM")
    off_by = np.abs(np.array(sums) - y.sum(axis=0) / N_SPLITS).max()
    return Split(seconds, peak - before, peak, float(off_by))


def random_annotations(n_images: int, random_state: int) -> Annotations:
    """Ten categories, rare ones and common ones, on images that each show some of them."""
    rng = np.random.default_rng(random_state)
    image_id = np.repeat(np.arange(n_images), 1 + rng.geometric(0.27, n_images))
    corner = rng.uniform(0, 0.7 * SIDE, (len(image_id), 2))
    boxes = np.hstack([corner, np.minimum(corner + rng.lognormal(5, 0.8, corner.shape), SIDE)])
    frequency = np.geomspace(1, 0.02, N_CATEGORIES)
    objects = pd.DataFrame(boxes, columns=BOX).assign(
        image_id=image_id,
        category_id=rng.choice(N_CATEGORIES, len(image_id), p=frequency / frequency.sum()),
    )
    names = {number: f"category {number}" for number in range(N_CATEGORIES)}
    return annotations_of(objects, n_images, SIDE, names)


if __name__ == "__main__":
    print(json.dumps(asdict(split_matrix(sys.argv[1], int(sys.argv[2])))))
