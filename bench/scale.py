"""Seconds and peak memory of the steps on ever more boxes, each step in a process of its own.

What is drawn: ten objects and ten predicted boxes an image, those of all members together; it is
written part by part, so that drawing is bounded, too. Other sizes, and some steps only:
``python -m bench.scale 30000000 score``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.comparison import in_own_process, memory_mb
from bench.drawn_members import N_CLASSES, SIDE
from recycling.annotations import (
    ANNOTATIONS,
    BOX,
    IMAGE_CHECKS,
    IMAGES,
    Annotations,
    Cleaning,
    StoredAnnotations,
    clean,
    read_tables,
    write_tables,
)
from recycling.datasets import CsvDataset, LabelMapsDataset, TableDataset
from recycling.ensembling import BoxFusion, MaskFusion, fuse
from recycling.evaluation import map50
from recycling.predictions import DETECTIONS, BoxFormat, LabelMaps, to_submission
from recycling.splitting import Splitting, make_folds
from recycling.stored_tables import StoredTable, in_parts

SIZES = (100_000, 1_000_000, 10_000_000)
IMAGES_AT_A_TIME = 20_000
N_MEMBERS = 4
N_VOTERS, PIXELS = 3, 128


@dataclass(frozen=True)
class Cost:
    """What a step took.

    Attributes:
        seconds: From the files to the files.
        megabytes: Peak memory beyond what the process held once all was imported and compiled.
        result: A figure to compare.
    """

    seconds: float
    megabytes: float
    result: float


def run(*, quick: bool) -> list[Cost]:
    return show((2_000,) if quick else SIZES)


def show(sizes: tuple[int, ...], steps: tuple[str, ...] = ()) -> list[Cost]:
    """Print a row for each step and size."""
    table = Table(
        "step", "boxes", "images", "s", "peak MB", "result", title="seconds and peak memory"
    )
    costs = []
    for n_boxes in sizes:
        with TemporaryDirectory(prefix="recycling-") as folder:
            in_own_process("bench.scale", "draw", folder, n_boxes)
            for step in steps or tuple(STEPS):
                cost = Cost(**in_own_process("bench.scale", step, folder, n_boxes))
                costs.append(cost)
                table.add_row(
                    step,
                    f"{n_boxes:,}",
                    f"{n_boxes // 10:,}",
                    f"{cost.seconds:.1f}",
                    f"{cost.megabytes:,.0f}",
                    f"{cost.result:.6f}",
                )
    Console(width=110).print(table)
    return costs


def take(step: str, folder: Path, n_boxes: int) -> Cost:
    """Take a step in this process; once on very little first, which imports and compiles."""
    if step == "draw":
        draw(folder, n_boxes)
        return Cost(0, 0, 0)
    with TemporaryDirectory(prefix="recycling-") as little:
        draw(Path(little), 200)
        STEPS[step](Path(little))
    before, start = memory_mb("VmRSS"), time.perf_counter()
    result = STEPS[step](folder)
    return Cost(time.perf_counter() - start, memory_mb("VmHWM") - before, result)


def draw(folder: Path, n_boxes: int) -> None:
    """Draw annotated images, members' boxes, a table of as many boxes, and label maps."""
    n_images = n_boxes // 10
    names = [f"class {number}" for number in range(1, N_CLASSES + 1)]
    categories = pd.DataFrame({"category_id": range(1, N_CLASSES + 1), "name": names})
    categories = categories.assign(supercategory="", extra=None)
    none = Annotations(IMAGES.empty(), ANNOTATIONS.empty(), categories)
    write_tables(none, folder / "truth")  # which the tables of images and annotations go into
    with ExitStack() as writers:
        files: dict[str, pq.ParquetWriter] = {}
        for part in parts(n_images):
            for name, table in drawn(part).items():
                rows = pa.Table.from_pandas(table, preserve_index=False)
                if name not in files:
                    file = pq.ParquetWriter(folder / f"{name}.parquet", rows.schema)
                    files[name] = writers.enter_context(file)
                files[name].write_table(rows)
    ids = range(max(2, n_boxes // 1000))
    for voter in range(N_VOTERS):
        (folder / f"maps{voter}").mkdir()
        rng = np.random.default_rng(voter)
        patches = rng.integers(0, N_CLASSES + 1, (len(ids), 4, 4), dtype=np.uint8)
        LabelMaps(ids, partial(grown, patches)).write(folder / f"maps{voter}")


def grown(patches: NDArray[np.uint8], image_id: int) -> NDArray[np.uint8]:
    """The map of an image, each patch of it a square of pixels."""
    return patches[image_id].repeat(PIXELS // 4, 0).repeat(PIXELS // 4, 1)


def parts(n_images: int) -> Iterator[range]:
    """The images, some at a time."""
    for start in range(0, n_images, IMAGES_AT_A_TIME):
        yield range(start, min(start + IMAGES_AT_A_TIME, n_images))


def drawn(part: range) -> dict[str, pd.DataFrame]:
    """Tables of some images, by the names of their files."""
    objects = drawn_objects(part)
    tables = {
        "truth/images": IMAGES.conform(drawn_images(part), where="images"),
        "truth/annotations": ANNOTATIONS.conform(objects, where="objects"),
    }
    shares = {f"m{member}": 1 / N_MEMBERS for member in range(N_MEMBERS)} | {"boxes": 1.0}
    for number, (name, share) in enumerate(shares.items()):
        boxes = drawn_boxes(objects, share, np.random.default_rng([part.start, number]))
        tables[name] = DETECTIONS.conform(boxes, where=name)
    return tables


def drawn_images(part: range) -> pd.DataFrame:
    ids = pd.Series(part).astype("string")
    return pd.DataFrame(
        {"image_id": part, "file_name": ids + ".jpg", "width": SIDE, "height": SIDE}
    ).assign(group=ids, extra=None)


def drawn_objects(part: range) -> pd.DataFrame:
    """Ten an image; boxes of members are near them."""
    rng = np.random.default_rng(part.start)
    image_id = np.repeat(np.asarray(part), 10)
    size = rng.lognormal(3.5, 0.8, (len(image_id), 2)).clip(8, 200)
    corner = rng.uniform(0, 1, (len(image_id), 2)) * (SIDE - size)
    return pd.DataFrame(np.hstack([corner, corner + size]), columns=BOX).assign(
        annotation_id=10 * part.start + np.arange(len(image_id)),
        image_id=image_id,
        category_id=rng.integers(1, N_CLASSES + 1, len(image_id)),
        area=size.prod(axis=1),
        segmentation=None,
        iscrowd=rng.random(len(image_id)) < 0.001,
        source="human",
        score=1.0,
        extra=None,
    )


def drawn_boxes(objects: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Boxes of some of the objects, a little off."""
    objects = objects[rng.random(len(objects)) < share]
    size = objects[["x_max", "y_max"]].to_numpy() - objects[["x_min", "y_min"]].to_numpy()
    moved = objects[BOX].to_numpy() + rng.normal(0, 0.12, (len(objects), 4)) * np.tile(size, 2)
    low, high = np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])
    table = pd.DataFrame(np.hstack([low, high]), columns=BOX)
    return table.assign(
        image_id=objects["image_id"].to_numpy(),
        category_id=objects["category_id"].to_numpy(),
        score=rng.beta(2, 2, len(objects)),
    )


def boxes_in(path: Path) -> StoredTable:
    return StoredTable(path, DETECTIONS)


def fuse_boxes(folder: Path) -> float:
    members = {f"m{n}": boxes_in(folder / f"m{n}.parquet") for n in range(N_MEMBERS)}
    fused = in_parts(partial(fuse, BoxFusion.model_validate({})), members)
    TableDataset(table="detections", filepath=folder / "fused.parquet").save(fused)
    return float(len(boxes_in(folder / "fused.parquet")))


def score_boxes(folder: Path) -> float:
    return map50(StoredAnnotations(folder / "truth"), boxes_in(folder / "boxes.parquet")).score


def write_submission(folder: Path) -> float:
    boxes, truth = boxes_in(folder / "boxes.parquet"), StoredAnnotations(folder / "truth")
    settings = BoxFormat.model_validate({})
    table = to_submission(settings, boxes, truth.images, truth.categories)
    CsvDataset(filepath=folder / "submission.csv").save(table)
    return (folder / "submission.csv").stat().st_size / 1e6


def split_images(folder: Path) -> float:
    folds = make_folds(StoredAnnotations(folder / "truth"), Splitting())
    TableDataset(table="folds", filepath=folder / "folds.parquet").save(folds)
    return float(folds["fold"].nunique())


def clean_annotations(folder: Path) -> float:
    cleaned, audit = clean(read_tables(folder / "truth"), IMAGE_CHECKS.empty(), Cleaning())
    write_tables(cleaned, folder / "clean")
    return float(len(audit))


def vote(folder: Path) -> float:
    maps = {f"m{n}": LabelMapsDataset(filepath=folder / f"maps{n}").load() for n in range(N_VOTERS)}
    ranks = {name: rank for rank, name in enumerate(maps)}
    voted = fuse(MaskFusion.model_validate({}), maps, ranks=ranks)
    LabelMapsDataset(filepath=folder / "voted").save(voted)
    return float(len(voted))


STEPS: dict[str, Callable[[Path], float]] = {
    "read, fuse, save": fuse_boxes,
    "score": score_boxes,
    "submission": write_submission,
    "split": split_images,
    "clean": clean_annotations,
    "vote on label maps": vote,
}


if __name__ == "__main__":
    if sys.argv[1].isdecimal():
        show((int(sys.argv[1]),), tuple(sys.argv[2:]))
    else:
        print(json.dumps(asdict(take(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))))
