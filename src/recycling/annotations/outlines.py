"""Whether segmentations can be drawn on their images, found out before anything is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recycling import limits as reading
from recycling.annotations.core import AnnotationError
from recycling.annotations.masks import segmentation_rle
from recycling.errors import Faults

_AT_A_TIME = 20_000  # annotations, which keeps their numbers below a gigabyte
_LONGEST = 1 << 20  # pixels of outline, for each of which pycocotools takes up to 100 bytes
_MOST = 1 << 12  # polygons, which pycocotools joins in the square of their number


def check_segmentations(
    annotations: pd.DataFrame, images: pd.DataFrame, faults: Faults, name_of: Callable[[int], str]
) -> None:
    """Note outlines that reach far beyond their image or are endless, and RLEs of another size.

    pycocotools takes memory and time for every pixel of an outline's length, and fails with a
    segmentation fault where that is too much.

    Args:
        annotations: Schema `ANNOTATIONS`, of which the segmentations are looked at.
        images: Schema `IMAGES`; every image that an annotation is on.
        faults: Takes what is wrong.
        name_of: How to name the annotation in a row.
    """
    most = reading.limits().max_pixels
    sizes = images.set_index("image_id")[["width", "height"]]
    texts = pa.array(annotations["segmentation"], pa.large_string(), from_pandas=True)
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    for start in range(0, len(annotations), _AT_A_TIME):
        part = texts.slice(start, _AT_A_TIME)
        image_ids = annotations["image_id"].iloc[start : start + _AT_A_TIME]
        limits = sizes.loc[image_ids].to_numpy(dtype=np.float64)
        names = partial(_name_from, name_of, start)
        polygons, rles = _starts_with(part, "[["), _starts_with(part, "{")
        too_large = limits.prod(axis=1) > most
        faults.add_where(
            too_large & (polygons | rles),
            f"an outline on an image of more than {most} pixels, remove it",
            names,
        )
        _check_polygons(part, np.flatnonzero(polygons & ~too_large), limits, faults, names)
        _check_rles(part, np.flatnonzero(rles & ~too_large), limits, faults, names)


def _name_from(name_of: Callable[[int], str], start: int, row: int) -> str:
    return name_of(start + row)


def _starts_with(texts: pa.Array, beginning: str) -> NDArray[np.bool_]:
    found = pc.fill_null(pc.starts_with(texts, beginning), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _check_polygons(
    texts: pa.Array,
    rows: NDArray[np.intp],
    limits: NDArray[np.float64],
    faults: Faults,
    name_of: Callable[[int], str],
) -> None:
    """Note polygons that reach beyond their image by more than its size, or are endless."""
    texts = texts.take(rows)
    beyond = np.zeros(len(rows), dtype=np.bool_)
    if len(rows):
        from recycling.annotations.outline_kernels import may_reach_beyond

        _, ends, letters = texts.buffers()
        places = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        content = np.frombuffer(letters, np.uint8)
        may_reach_beyond(content, places, limits[rows], _LONGEST, _MOST, beyond)
    for place in np.flatnonzero(beyond).tolist():
        width, height = limits[rows[place]].tolist()
        polygons = json.loads(texts[place].as_py())
        corners = np.array([*chain(*polygons)], dtype=np.float64)
        sides = np.resize([width, height], len(corners))  # x and y take turns
        far = corners[np.maximum(-corners, corners - sides) > sides]
        if len(far):
            faults.add(
                "a polygon reaches further beyond its image than the image is wide or high, "
                "correct it",
                f"{name_of(int(rows[place]))} has {far[0]:g} on {width:.0f} x {height:.0f} pixels",
            )
        elif len(polygons) > _MOST:
            kind = f"more than {_MOST} polygons, give them as an RLE"
            faults.add(kind, f"{name_of(int(rows[place]))} has {len(polygons)}")
        elif (length := sum(map(_length, polygons))) > _LONGEST:
            kind = f"an outline of more than {_LONGEST} pixels, simplify it or give it as an RLE"
            faults.add(kind, f"{name_of(int(rows[place]))} has {length:.0f}")


def _length(polygon: list[float]) -> float:
    """Pixels along the longer side of each edge, which are what is drawn of it."""
    corners = np.reshape(np.array(polygon, dtype=np.float64), (-1, 2))
    edges = np.abs(corners - np.roll(corners, 1, axis=0))
    return float(edges.max(axis=1, initial=0).sum())


def _check_rles(
    texts: pa.Array,
    rows: NDArray[np.intp],
    limits: NDArray[np.float64],
    faults: Faults,
    name_of: Callable[[int], str],
) -> None:
    """Note RLEs of another size than their image, or whose counts do not add up to it."""
    for row in rows.tolist():
        width, height = limits[row].astype(int).tolist()
        text = texts[row].as_py()
        if (size := json.loads(text)["size"]) != [height, width]:
            is_turned = ": height and width are swapped" if size == [width, height] else ""
            faults.add(
                "an RLE of another size than its image, correct either",
                f"{name_of(row)} has {size[1]} x {size[0]} on {width} x {height} pixels{is_turned}",
            )
            continue
        try:
            segmentation_rle(text, height, width)
        except AnnotationError as error:
            faults.add(f"{error}", name_of(row))
