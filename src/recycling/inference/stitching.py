"""Boxes of overlapping tiles become those of the image.

Two things go wrong at the edges of tiles: an object in the strip that two tiles share is found
twice, and one that an edge cuts is found in part. What is known of each box is whether an edge of
its tile that is none of the image cuts it. So:

1. Of boxes that are whole, each object's are fused as several models' are.
2. A part that lies in a whole box of its category, which is not much less sure, is that box's.
3. Parts of an object that no tile shows whole are put together across the edges that cut them.
4. Of the parts that are left, each object's are fused as in 1.

Suppression by the intersection over the smaller box (SAHI's default) does 2 and 3 to boxes that
nothing cuts as well: a small object before a large one of its category is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import BOX
from recycling.ensembling import BoxFusion, fuse
from recycling.predictions import DETECTIONS, Detections

EDGE = 0.01
"""How near to its tile's edge a box that the edge cuts ends, as a share of the tile's side."""

INSIDE = 0.5
"""The share of a part that lies in the box of its object."""

AS_SURE = 0.5
"""How sure the box of an object is at least, as a share of how sure its part is."""

ALONG = 0.6
"""How much two parts of an object share along the edge between them, of what both cover."""

_CUT = ["cut_left", "cut_top", "cut_right", "cut_bottom"]


def stitch(found: Detections, tiles: pd.DataFrame, fusion: BoxFusion) -> Detections:
    """Put the boxes of tiles together.

    Args:
        found: Boxes in the pixels of their tiles; `image_id` is the tile's row in `tiles`.
        tiles: `image_id`, `left, top, right, bottom` in the image, `width` and `height` of the
            image; pixels. A tile may be the whole image.
        fusion: How boxes of several tiles on one object become one.

    Returns:
        Boxes in the pixels of the images, by image and then by score, highest first.
    """
    moved = _moved(found, tiles)
    is_cut = moved[_CUT].any(axis=1)
    whole = _fused(moved[~is_cut], fusion)
    parts = moved[is_cut]
    lonely = parts[~_explained(parts, whole)]
    rest = _fused(_joined(lonely), fusion)
    together = pd.concat([whole, rest], ignore_index=True)
    order = together.sort_values(["image_id", "score"], ascending=[True, False], kind="stable")
    return Detections(DETECTIONS.conform(order, where="detections of tiles"))


def _moved(found: Detections, tiles: pd.DataFrame) -> pd.DataFrame:
    """Boxes in the pixels of their image, and which of their sides an edge of the tile cuts."""
    own = tiles.iloc[found["image_id"].to_numpy()].reset_index(drop=True)
    table = found.reset_index(drop=True).assign(image_id=own["image_id"])
    table[["x_min", "x_max"]] += own[["left"]].to_numpy()
    table[["y_min", "y_max"]] += own[["top"]].to_numpy()
    x_edge = EDGE * (own["right"] - own["left"])
    y_edge = EDGE * (own["bottom"] - own["top"])
    table["cut_left"] = (own["left"] > 0) & (table["x_min"] < own["left"] + x_edge)
    table["cut_top"] = (own["top"] > 0) & (table["y_min"] < own["top"] + y_edge)
    table["cut_right"] = (own["right"] < own["width"]) & (table["x_max"] > own["right"] - x_edge)
    table["cut_bottom"] = (own["bottom"] < own["height"]) & (
        table["y_max"] > own["bottom"] - y_edge
    )
    return table


def _fused(boxes: pd.DataFrame, fusion: BoxFusion) -> pd.DataFrame:
    """One box an object."""
    if boxes.empty:
        return DETECTIONS.empty()
    table = Detections(DETECTIONS.conform(boxes, where="boxes of tiles"))
    fused: pd.DataFrame = fuse(fusion, {"tiles": table})
    return fused


def _explained(parts: pd.DataFrame, whole: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each part lies in a whole box of its category."""
    lies_in = np.zeros(len(parts), np.bool_)
    keys = ["image_id", "category_id"]
    boxes = dict(list(whole.groupby(keys)))
    for key, rows in parts.reset_index(drop=True).groupby(keys):
        if key in boxes:
            own, other = rows[BOX].to_numpy(), boxes[key][BOX].to_numpy()
            share = _shared(own, other) / _area(own)[:, None]
            needed = AS_SURE * rows["score"].to_numpy()[:, None]
            is_sure = boxes[key]["score"].to_numpy()[None] >= needed
            lies_in[rows.index] = ((share >= INSIDE) & is_sure).any(axis=1)
    return lies_in


def _joined(parts: pd.DataFrame) -> pd.DataFrame:
    """Parts put together, two at a time, until no edge lies between two that belong together."""
    groups = [
        _joined_of_one(own) for _, own in parts.groupby(["image_id", "category_id"], sort=True)
    ]
    return pd.concat(groups, ignore_index=True) if groups else parts


def _joined_of_one(parts: pd.DataFrame) -> pd.DataFrame:
    """The parts of one category on one image, the surest first."""
    best_first = parts.sort_values("score", ascending=False, kind="stable")
    left = cast(list[dict[str, float]], best_first.to_dict("records"))
    done = []
    while left:
        box = left.pop(0)
        while (at := next((n for n, other in enumerate(left) if _belong(box, other)), -1)) >= 0:
            box = _union(box, left.pop(at))
        # What other tiles show of it.
        left = [other for other in left if not _lies_in(other, box)]
        done.append(box)
    return pd.DataFrame(done, columns=parts.columns)


def _lies_in(part: Mapping[str, float], box: Mapping[str, float]) -> bool:
    sides = (np.array([[own[side] for side in BOX]]) for own in (part, box))
    inner, outer = sides
    return bool(_shared(inner, outer)[0, 0] >= INSIDE * _area(inner)[0])


def _belong(first: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether an edge lies between two parts of one object."""
    across = (first["cut_right"] and other["cut_left"]) or (
        first["cut_left"] and other["cut_right"]
    )
    along = (first["cut_bottom"] and other["cut_top"]) or (first["cut_top"] and other["cut_bottom"])
    x, y = _overlap(first, other, "x"), _overlap(first, other, "y")
    return bool((across and x > 0 and y >= ALONG) or (along and y > 0 and x >= ALONG))


def _overlap(first: Mapping[str, float], other: Mapping[str, float], axis: str) -> float:
    """What two boxes share of one axis, of what both cover."""
    low, high = f"{axis}_min", f"{axis}_max"
    shared = min(first[high], other[high]) - max(first[low], other[low])
    return shared / (max(first[high], other[high]) - min(first[low], other[low]))


def _union(first: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The box around two parts; what cuts it is what cut the part that ends there."""
    union = {**first, "score": max(first["score"], other["score"])}
    for side, better in (("x_min", min), ("y_min", min), ("x_max", max), ("y_max", max)):
        union[side] = better(first[side], other[side])
    for side, cut in zip(BOX, _CUT, strict=True):
        ends = [part for part in (first, other) if part[side] == union[side]]
        union[cut] = all(part[cut] for part in ends)
    return union


def _shared(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The area that each of some boxes shares with each of others, (some, others)."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    shared: NDArray[np.float64] = (high - low).clip(0).prod(axis=2)
    return shared


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
