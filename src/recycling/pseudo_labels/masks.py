"""Regions that the teacher is sure of become annotations; of the rest nothing is learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations, label_maps, mask_to_segmentation
from recycling.predictions import LabelMap, LabelMaps
from recycling.progress import track
from recycling.pseudo_labels.core import (
    BACKGROUND,
    PseudoLabeling,
    Thresholds,
    as_annotations,
    first_reached,
    surest_images,
    units_of,
)
from recycling.pseudo_labels.promise import GRID, Graded

Sureness = Callable[[int], NDArray[np.float32]]
"""Gives, for an image, how sure the teacher is of each pixel's label, (H, W), 0 to 1."""


def with_background(categories: pd.DataFrame) -> pd.DataFrame:
    """The categories that pixels have: the background first, with the id -1.

    Args:
        categories: Schema `CATEGORIES`.
    """
    background = pd.DataFrame(
        {"category_id": [-1], "name": [BACKGROUND], "supercategory": [BACKGROUND]}
    )
    columns = background.columns.tolist()
    return pd.concat([background, categories[columns]], ignore_index=True)


def grade_masks(
    maps: LabelMaps, sureness: Sureness, truth: Annotations, settings: PseudoLabeling
) -> Graded:
    """How right the teacher's pixels are on images that it has not seen.

    Images differ in how much of them a category covers, so that one image could outweigh all
    others: each image on which some pixel is kept counts once, with the share of its kept pixels
    that is wrong.

    Args:
        maps: Its label maps: 0 for the background, 1 for the first category.
        sureness: How sure it is of each pixel.
        truth: What is on the images. Pixels of crowd regions are neither right nor wrong.
        settings: `mask_area`: what is in a smaller region would not be kept.

    Returns:
        The background first, then the categories of `truth`.
    """
    unit_of_image, sizes = units_of(truth.images)
    n = len(truth.categories) + 1
    kept, wrong = np.zeros((2, len(sizes), n, len(GRID)))
    true_maps = label_maps(truth)
    for place, image_id in enumerate(track(truth.images["image_id"].tolist(), "grading masks")):
        true = true_maps[image_id]
        label_map = maps[image_id]
        at = _first_kept(label_map, first_reached(sureness(image_id)), settings.mask_area)
        counts, wrongs = _by_threshold(label_map, at, true, n)
        any_kept = counts > 0
        unit = unit_of_image[place]
        kept[unit] += any_kept / sizes[unit]
        shares = np.divide(wrongs, counts, where=any_kept, out=np.zeros_like(wrongs))
        wrong[unit] += shares / sizes[unit]
    return Graded(kept, wrong, cap=1)


def _first_kept(label_map: LabelMap, at: NDArray[np.int64], mask_area: int) -> NDArray[np.int64]:
    """The place in `GRID` of the first threshold at which a pixel's region is large enough.

    A lower threshold only lets regions grow, so that it is kept from there on.

    Args:
        label_map: (H, W) categories.
        at: (H, W) the first threshold that each pixel reaches.
        mask_area: Pixels of a region that is kept; the background needs none.
    """
    import cv2

    first = np.where(label_map == 0, at, len(GRID))
    for category in np.unique(label_map[label_map > 0]):
        reached = np.where(label_map == category, at, len(GRID))
        for threshold in range(int(reached.max(initial=0, where=reached < len(GRID))), -1, -1):
            mask = (reached <= threshold).astype(np.uint8)
            _, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            is_large = stats[:, cv2.CC_STAT_AREA] >= mask_area
            is_large[0] = False  # all that is not in the mask
            if not is_large.any():
                break
            first[is_large[parts]] = threshold
    return first


def _by_threshold(
    label_map: LabelMap, at: NDArray[np.int64], true: LabelMap, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels that are kept, and the wrong ones: (categories, thresholds) each."""
    known = true != 255
    cell = label_map[known].astype(np.int64) * (len(GRID) + 1) + at[known]
    size = n * (len(GRID) + 1)
    is_wrong = label_map[known] != true[known]
    counts = [np.bincount(cells, minlength=size) for cells in (cell, cell[is_wrong])]
    kept, wrong = (c.reshape(n, -1).cumsum(axis=1)[:, :-1].astype(np.float64) for c in counts)
    return kept, wrong


def annotate_regions(
    maps: LabelMaps,
    sureness: Sureness,
    unlabeled: Annotations,
    thresholds: Thresholds,
    categories: pd.DataFrame,
    settings: PseudoLabeling,
) -> tuple[Annotations, pd.DataFrame]:
    """Turn label maps of unlabelled images into annotations.

    A connected region becomes an annotation; where the teacher is not sure, a region marked
    `iscrowd` keeps training from learning either answer.

    Args:
        maps: The teacher's label maps of the images of `unlabeled`.
        sureness: How sure it is of each pixel.
        unlabeled: The images.
        thresholds: How sure it must be of a pixel, background included.
        categories: Schema `CATEGORIES`.
        settings: `mask_area` is what a region needs.

    Returns:
        The annotations; and all regions, with their `fate`: "kept", "ignored" or "refused".
    """
    least = np.asarray(thresholds["threshold"].astype("float64").fillna(np.inf), dtype=np.float32)
    category_ids = categories["category_id"].to_numpy()
    rows = [
        {"image_id": image_id, **region}
        for image_id in track(unlabeled.images["image_id"].tolist(), "pseudo-labels of masks")
        for region in _regions(maps[image_id], sureness(image_id), least, category_ids, settings)
    ]
    columns = ["image_id", "category_id", "score", "area", "fate", "iscrowd", "segmentation"]
    table = pd.DataFrame(rows, columns=[*columns, "x_min", "y_min", "x_max", "y_max"])
    table = table.astype({"iscrowd": bool})
    sure = table[table["fate"] == "kept"].set_index("image_id")["score"]
    on_kept = table["image_id"].isin(surest_images(sure, settings.share, len(unlabeled.images)))
    table.loc[~on_kept, "fate"] = "refused"
    learnt = table[on_kept & ((table["fate"] == "kept") | table["iscrowd"])]
    annotations = as_annotations(learnt.drop(columns="fate"), unlabeled, categories)
    return annotations, table[~table["iscrowd"]]


def _regions(
    label_map: LabelMap,
    sure: NDArray[np.float32],
    least: NDArray[np.float32],
    category_ids: NDArray[np.int64],
    settings: PseudoLabeling,
) -> Iterator[dict[str, Any]]:
    import cv2

    kept_pixels = sure >= least[label_map]
    unsure = ~kept_pixels
    for index, category_id in enumerate(category_ids, 1):
        of_category = label_map == index
        mask = (of_category & kept_pixels).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for part in range(1, count):
            region = parts == part
            kept = bool(stats[part, cv2.CC_STAT_AREA] >= settings.mask_area)
            if not kept:
                unsure |= region
            score = float(sure[region].mean())
            yield _row(region, int(category_id), score, "kept" if kept else "ignored")
        if count == 1 and of_category.any():
            yield _row(of_category, int(category_id), float(sure[of_category].mean()), "ignored")
    if unsure.any():
        yield {**_row(unsure, int(category_ids[0]), 0.0, "ignored", drawn=True), "iscrowd": True}


def _row(
    region: NDArray[np.bool_], category_id: int, score: float, fate: str, *, drawn: bool = False
) -> dict[str, Any]:
    columns, rows = np.flatnonzero(region.any(axis=0)), np.flatnonzero(region.any(axis=1))
    return {
        "category_id": category_id,
        "score": score,
        "fate": fate,
        "iscrowd": False,
        "area": float(region.sum()),
        "segmentation": mask_to_segmentation(region) if drawn or fate == "kept" else None,
        "x_min": float(columns[0]),
        "y_min": float(rows[0]),
        "x_max": float(columns[-1] + 1),
        "y_max": float(rows[-1] + 1),
    }
