"""Pictures and annotations to write beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from recycling.annotations import Annotations, from_coco

TRIANGLE = [1.0, 1.0, 5.0, 1.0, 5.0, 4.0]


def draw(folder: Path, annotations: Annotations) -> Path:
    """Make a picture for every image."""
    rows = annotations.images[["file_name", "width", "height"]]
    for name, width, height in rows.itertuples(index=False, name=None):
        draw_one(folder / name, (width, height))
    return folder


def draw_one(path: Path, size: tuple[int, int], **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size).save(path, **options)


def coco(*found: dict, size: tuple[int, int] = (8, 6), names=("a.png",), **more) -> Annotations:
    """Annotations of category 1 "Glass", 2 "Paper" or 3 "Metal", on the first image by default."""
    width, height = size
    images = [
        {"id": i, "file_name": name, "width": width, "height": height}
        for i, name in enumerate(names, 1)
    ]
    ground = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 3]}
    annotations = [{"id": i, **ground, **one} for i, one in enumerate(found, 1)]
    categories = [{"id": i, "name": name} for i, name in enumerate(["Glass", "Paper", "Metal"], 1)]
    return from_coco(
        {"images": images, "annotations": annotations, "categories": categories, **more},
        where="test",
    )


@st.composite
def polygons(draw, width: int, height: int) -> list[float]:
    count = draw(st.integers(3, 6))
    x, y = st.floats(0, width, width=32), st.floats(0, height, width=32)
    return [value for _ in range(count) for value in (draw(x), draw(y))]


@st.composite
def documents(draw, *, parts: int, names: st.SearchStrategy[str], whole_pixels: bool) -> dict:
    """COCO documents whose images and annotations are in the order in which they are read."""
    files = draw(st.sets(st.sampled_from(["a.png", "b/a.png", "b/c d.jpg", "b/e/f.webp"])))
    images, annotations = [], []
    category_ids = list(range(draw(st.integers(1, 3))))
    for image_id, file_name in enumerate(sorted(files | {"c.png"}), 1):
        width, height = draw(st.integers(1, 300)), draw(st.integers(1, 300))
        images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for _ in range(draw(st.integers(0, 3))):
            low, high = draw(_spans(width, whole_pixels)), draw(_spans(height, whole_pixels))
            polygon = st.lists(polygons(width, height), min_size=1, max_size=parts)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": draw(st.sampled_from(category_ids)),
                    "bbox": [low[0], high[0], low[1] - low[0], high[1] - high[0]],
                    "segmentation": draw(st.just([]) | polygon),
                }
            )
    unique = st.lists(names, min_size=len(category_ids), max_size=len(category_ids), unique=True)
    categories = [
        {"id": one, "name": name} for one, name in zip(category_ids, draw(unique), strict=True)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def vertices(text: str | None) -> list[np.ndarray]:
    """The polygons of a segmentation."""
    return [] if not isinstance(text, str) else [np.array(one) for one in json.loads(text)]


def _spans(side: int, whole: bool) -> st.SearchStrategy[list[float]]:
    value = st.integers(0, side) if whole else st.floats(0, side, width=32)
    return st.lists(value, min_size=2, max_size=2, unique=True).map(sorted)
