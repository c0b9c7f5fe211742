"""Regions that the teacher's members agree on become annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import Annotations, mask_to_segmentation
from recycling.predictions import LabelMap, LabelMaps
from recycling.progress import track
from recycling.pseudo_labels.core import PseudoAudit, PseudoLabeling, as_annotations, audit


def annotate_regions(
    label_maps: LabelMaps,
    agreement: Callable[[int], NDArray[np.float32]],
    unlabeled: Annotations,
    labeled: Annotations,
    settings: PseudoLabeling,
) -> tuple[Annotations, PseudoAudit]:
    """Turn label maps of unlabelled images into annotations.

    A connected region becomes an annotation; where the members disagree, a region marked `iscrowd`
    keeps training from learning either answer.

    Args:
        label_maps: The teacher's label maps of the images of `unlabeled`.
        agreement: Gives, for an image, the share of members that agree with the teacher, (H, W).
        unlabeled: The images.
        labeled: The annotations that the teacher learnt from, for the categories.
        settings: `mask_agreement` is what a pixel needs, `mask_area` what a region needs.

    Returns:
        The annotations, and an audit row a category. `predicted` counts all regions.
    """
    category_ids = labeled.categories["category_id"].to_numpy()
    rows = [
        {"image_id": image_id, **region}
        for image_id, label_map in track(label_maps.items(), "pseudo-labels of masks")
        for region in _regions(label_map, agreement(image_id), category_ids, settings)
    ]
    columns = ["image_id", "category_id", "score", "area", "kept", "iscrowd", "segmentation"]
    table = pd.DataFrame(rows, columns=[*columns, "x_min", "y_min", "x_max", "y_max"])
    table = table.astype({"kept": bool, "iscrowd": bool})
    regions = table[~table["iscrowd"]]
    with_region = table["image_id"].isin(regions.loc[regions["kept"], "image_id"])
    annotations = as_annotations(table[table["kept"] & with_region], unlabeled, labeled)
    return annotations, audit(regions, regions[regions["kept"]], labeled.categories)


def _regions(
    label_map: LabelMap,
    agreement: NDArray[np.float32],
    category_ids: NDArray[np.int64],
    settings: PseudoLabeling,
) -> Iterator[dict[str, Any]]:
    import cv2

    agreed = agreement >= settings.mask_agreement
    unsure = ~agreed
    for index, category_id in enumerate(category_ids):
        mask = ((label_map == index + 1) & agreed).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for part in range(1, count):
            region = parts == part
            kept = bool(stats[part, cv2.CC_STAT_AREA] >= settings.mask_area)
            if not kept:
                unsure |= region
            score = float(agreement[region].mean())
            yield _row(region, int(category_id), score, kept=kept, iscrowd=False)
    if unsure.any():
        yield _row(unsure, int(category_ids[0]), 0.0, kept=True, iscrowd=True)


def _row(
    region: NDArray[np.bool_], category_id: int, score: float, *, kept: bool, iscrowd: bool
) -> dict[str, Any]:
    columns, rows = np.flatnonzero(region.any(axis=0)), np.flatnonzero(region.any(axis=1))
    return {
        "category_id": category_id,
        "score": score,
        "kept": kept,
        "iscrowd": iscrowd,
        "area": float(region.sum()),
        "segmentation": mask_to_segmentation(region) if kept else None,
        "x_min": float(columns[0]),
        "y_min": float(rows[0]),
        "x_max": float(columns[-1] + 1),
        "y_max": float(rows[-1] + 1),
    }
