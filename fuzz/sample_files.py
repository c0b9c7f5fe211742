"""Valid inputs: a few images of the sample that the repository ships, in every format."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from recycling.annotations import Annotations, read_tables

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "sample/01_raw/sample/images"


@cache
def annotations() -> Annotations:
    """Two images of the sample, with what is on them."""
    tables = read_tables(ROOT / "sample/03_primary/test")
    first = tables.annotations["image_id"].drop_duplicates().head(2)
    return tables.of_images(first)


@cache
def folder() -> Path:
    """A folder of this process, with the two images in ``images``."""
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for name in annotations().images["file_name"]:
        path = place / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(IMAGES / name, path)
    return place
