"""Reads a file in a process of its own, and says what came of it: `hostile.py READER FILE`."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from recycling.annotations import (
    ImageFolder,
    check_images,
    read_coco,
    read_pascal_voc,
    read_tables,
    read_yolo,
)
from recycling.annotations.formats.class_labels import read_class_csv
from recycling.annotations.formats.recognise import recognise
from recycling.annotations.formats.unlabelled_images import read_unlabelled_images
from recycling.annotations.images.decoding import read_image
from recycling.backends import Checkpoint
from recycling.predictions import LabelMaps
from recycling.predictions.probability_maps import read_planes


def checked(path: Path) -> None:
    """What `check_images` finds wrong."""
    row = {"image_id": 1, "file_name": path.name, "width": 4, "height": 4, "group": "1"}
    checks = check_images(pd.DataFrame([{**row, "extra": None}]), ImageFolder(path.parent))
    problem, detail = checks.loc[0, ["problem", "detail"]]
    raise ValueError(f"{problem}: {detail}")


def recognised(path: Path) -> None:
    """What `recognise` says of a file that it leaves alone."""
    raise ValueError(recognise(path).remarks[0])


READERS: dict[str, Callable[[Path], Any]] = {
    "checkpoint": lambda path: Checkpoint(path).facts,
    "checks": checked,
    "classes": lambda path: read_class_csv(path, path.parent, labels=("a", "b", "c")),
    "coco": read_coco,
    "image": read_image,
    "label map": lambda path: LabelMaps.from_folder(path.parent)[int(path.stem)],
    "planes": lambda path: read_planes(path.parent, int(path.stem)),
    "recognise": recognised,
    "tables": read_tables,
    "unlabelled": read_unlabelled_images,
    "voc": lambda path: read_pascal_voc(path / "labels", path / "images"),
    "yolo": lambda path: read_yolo(path / "labels", path / "images", path / "data.yaml"),
}


def main(reader: str, path: Path) -> None:
    """Read, and print the error, what memory it took at most, and the seconds."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    said = ""
    try:
        READERS[reader](path)
    except (ValueError, RuntimeError) as error:
        said = str(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"said": said, "megabytes": (peak - before) / 1024}
    print(json.dumps({**facts, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
