"""A project with the shipped sample as its data, and a pool whose names are meant to do harm."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from recycling.annotations import ANNOTATIONS, CATEGORIES, IMAGES, Annotations, write_tables

ROOT = Path(__file__).parents[2]

HOSTILE = "<img src=x onerror=\"document.title='harmed'\">"


def project_with_sample(folder: Path) -> Path:
    """Configuration and data of a project in `folder`."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    (folder / "src").mkdir()  # the package itself is installed
    shutil.copytree(ROOT / "sample", folder / "data")
    images = folder / "data/01_raw/sample/images"
    Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(images / "<b>bold<<b>.png")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "secret.png")
    (images / "broken.png").write_bytes(b"not a PNG")
    pool = hostile_pool()
    write_tables(pool, folder / "data/03_primary/pool")
    return folder


def hostile_pool() -> Annotations:
    """Three images: one whose names hold HTML, one outside the folder, one that is broken."""
    names = ["<b>bold<<b>.png", "../../../../secret.png", "broken.png"]
    images = pd.DataFrame({"image_id": [1, 2, 3], "file_name": names, "width": 80, "height": 60})
    rows = pd.DataFrame(
        {"annotation_id": [1, 2], "image_id": [1, 1], "category_id": [5, 6], "area": [200.0, 1800]}
    )
    rows = rows.assign(
        x_min=[10.0, 20], y_min=[10.0, 5], x_max=[30.0, 70], y_max=[20.0, 41], segmentation=None,
        iscrowd=False, source="human", score=1.0, extra=None,
    )  # fmt: skip
    rle = '{"size":[60,80],"counts":[1205,36,24,36,3499]}'
    rows.loc[1, "segmentation"] = rle
    categories = pd.DataFrame(
        {"category_id": [5, 6], "name": [HOSTILE, "Metal"], "supercategory": "", "extra": None}
    )
    return Annotations(
        IMAGES.conform(images.assign(group=["a", "a", "b"], extra=None), where="images"),
        ANNOTATIONS.conform(rows, where="annotations"),
        CATEGORIES.conform(categories, where="categories"),
    )
