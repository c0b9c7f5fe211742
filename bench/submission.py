"""The competitions' CSV files beside pandas with ``split``, and with ``numpy.fromstring``.

Files are made on the spot: label maps of patches of eleven classes, and boxes with numbers of full
length. Peers check nothing; ours checks every number, row and image, and reads a map again when it
is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.comparison import Row, by_turns, show
from recycling.predictions import (
    DETECTIONS,
    BoxFormat,
    Detections,
    LabelMaps,
    MaskFormat,
    Predictions,
    read_detections_csv,
    read_label_maps_csv,
    to_submission,
)

CATEGORIES = pd.DataFrame({"category_id": np.arange(1, 11)})
SIZE = 256
SPLIT, FROMSTRING = "pandas, split", "pandas, numpy.fromstring"
PARSE = {
    SPLIT: lambda text: np.array(text.split(), dtype=np.uint8),
    FROMSTRING: lambda text: np.fromstring(text, dtype=np.uint8, sep=" "),
}


def run(*, quick: bool) -> list[Row]:
    n_masks, n_boxes, repeats = (20, 2_000, 1) if quick else (837, 1_000_000, 3)
    speeds: list[tuple[str, str, float]] = []
    with TemporaryDirectory() as folder:
        rows = [
            *masks(Path(folder, "masks.csv"), n_masks, repeats, speeds),
            *boxes(Path(folder, "boxes.csv"), n_boxes, repeats, speeds),
        ]
    show("submissions: all read the same", rows)
    table = Table("what", "who", "MB/s", title="megabytes of file a second")
    for what, who, speed in speeds:
        table.add_row(what, who, f"{speed:.0f}")
    Console(width=110).print(table)
    return rows


def masks(
    path: Path, n_masks: int, repeats: int, speeds: list[tuple[str, str, float]]
) -> list[Row]:
    images = image_table(n_masks)
    stack = random_maps(n_masks)
    label_maps = LabelMaps(images["image_id"].tolist(), stack.__getitem__)
    write = partial(write_with_ours, MaskFormat.model_validate({}), label_maps, path, images)
    write()
    wrote = by_turns(repeats, {SPLIT: partial(write_with_pandas, stack, path), "ours": write})
    check = partial(read_label_maps_csv, path, images, CATEGORIES)
    check()
    read = by_turns(
        repeats,
        {name: partial(read_with_pandas, path, parse) for name, parse in PARSE.items()}
        | {"ours": lambda: np.stack(list(check().values())), "checked": check},
    )
    for name in (*PARSE, "ours"):
        np.testing.assert_array_equal(read[name][1], stack)
    megabytes = path.stat().st_size / 1e6
    what = f"{n_masks} masks, {megabytes:.0f} MB"
    speeds += [(f"read {what}", name, megabytes / seconds) for name, (seconds, _) in read.items()]
    speeds += [(f"write {what}", name, megabytes / seconds) for name, (seconds, _) in wrote.items()]
    return [
        Row(f"check {what}", SPLIT, read[SPLIT][0], read["checked"][0], 15),
        Row(f"check {what}", FROMSTRING, read[FROMSTRING][0], read["checked"][0], 5),
        Row(f"check, read {what}", SPLIT, read[SPLIT][0], read["ours"][0]),
        Row(f"check, read {what}", FROMSTRING, read[FROMSTRING][0], read["ours"][0]),
        Row(f"write {what}", "join, pandas", wrote[SPLIT][0], wrote["ours"][0]),
    ]


def boxes(
    path: Path, n_boxes: int, repeats: int, speeds: list[tuple[str, str, float]]
) -> list[Row]:
    images = image_table(max(1, n_boxes // 200))
    detections = random_boxes(n_boxes, images)
    write_with_ours(BoxFormat.model_validate({}), detections, path, images)
    read = by_turns(
        repeats,
        {
            SPLIT: partial(read_boxes_with_pandas, path),
            "ours": partial(read_detections_csv, path, images, CATEGORIES),
        },
    )
    pd.testing.assert_frame_equal(read["ours"][1], detections, check_exact=True)
    columns = ["score", "x_min", "y_min", "x_max", "y_max"]
    np.testing.assert_array_equal(read[SPLIT][1][:, 1:], detections[columns])
    megabytes = path.stat().st_size / 1e6
    what = f"read {n_boxes:,} boxes, {megabytes:.0f} MB"
    speeds += [(what, name, megabytes / seconds) for name, (seconds, _) in read.items()]
    return [Row(what, SPLIT, read[SPLIT][0], read["ours"][0])]


def read_with_pandas(path: Path, parse: Callable[[str], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    frame = pd.read_csv(path)
    return np.stack([parse(text).reshape(SIZE, SIZE) for text in frame["PredictionString"]])


def read_boxes_with_pandas(path: Path) -> NDArray[np.float64]:
    texts = pd.read_csv(path, keep_default_na=False)["PredictionString"]
    return np.concatenate([np.array(text.split(), dtype=float).reshape(-1, 6) for text in texts])


def write_with_pandas(stack: NDArray[np.uint8], path: Path) -> None:
    frame = image_table(len(stack))[["file_name"]].set_axis(["image_id"], axis=1)
    texts = [" ".join(map(str, label_map.ravel().tolist())) for label_map in stack]
    frame.assign(PredictionString=texts).to_csv(path, index=False)


def write_with_ours(
    settings: BoxFormat | MaskFormat, predictions: Predictions, path: Path, images: pd.DataFrame
) -> None:
    to_submission(settings, predictions, images, CATEGORIES).to_csv(path, index=False)


def image_table(n_images: int) -> pd.DataFrame:
    names = [f"batch_01_vt/{number:04}.jpg" for number in range(n_images)]
    return pd.DataFrame({"image_id": np.arange(n_images), "file_name": names})


def random_maps(n_maps: int) -> NDArray[np.uint8]:
    """Patches of 16 x 16 pixels, three of five of them background."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 11, (n_maps, SIZE // 16, SIZE // 16), dtype=np.uint8)
    patches[rng.random(patches.shape) < 0.6] = 0
    return patches.repeat(16, 1).repeat(16, 2)


def random_boxes(n_boxes: int, images: pd.DataFrame) -> Detections:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 900, (n_boxes, 2))
    frame = pd.DataFrame(
        np.hstack([low, low + rng.uniform(0, 124, (n_boxes, 2))]), columns=DETECTIONS.names[3:]
    )
    frame["image_id"] = np.sort(rng.integers(0, len(images), n_boxes))
    frame["category_id"] = rng.integers(1, 11, n_boxes)
    frame["score"] = rng.random(n_boxes)
    return Detections(DETECTIONS.conform(frame, where="random boxes"))
