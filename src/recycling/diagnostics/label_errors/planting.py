"""Labels with errors on purpose: what models say of these tells what they say of wrong labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.annotations import (
    ANNOTATIONS,
    BOX,
    Annotations,
    annotation_mask,
    mask_to_segmentation,
)
from recycling.annotations.core import free_ids
from recycling.diagnostics.label_errors.core import Kind, iou

_SHIFT = (0.15, 0.5)  # of the box's sides, each way
_FREE = 0.05  # the greatest intersection over union with a label of a box around nothing


@dataclass(frozen=True)
class Planted:
    """Labels, some of them wrong on purpose.

    Attributes:
        truth: All of them.
        kind: What is wrong, by the id of each label that is wrong.
        missing: The labels that are gone; schema `recycling.annotations.ANNOTATIONS`.
    """

    truth: Annotations
    kind: Mapping[int, Kind]
    missing: pd.DataFrame


def plant(
    truth: Annotations, kinds: Sequence[Kind], n_each: int, rng: np.random.Generator
) -> Planted:
    """Plant errors of some kinds, at most one on an image.

    Args:
        truth: Labels, most of which are right; it is not changed.
        kinds: Those to plant. A wrong class is drawn as often as it is labelled; a box is moved by
            0.15 to 0.5 of its sides; a box around nothing is that of a label of another image.
        n_each: How many of each, where there are so many images.
        rng: Where all chance comes from.
    """
    table = truth.annotations
    labels = table[~table["iscrowd"]].sample(frac=1, random_state=rng)
    chosen = labels.drop_duplicates("image_id")
    n_each = min(n_each, len(chosen) // len(kinds))
    kind_of: dict[int, Kind] = {}
    gone: list[int] = []
    changed: list[dict[Any, Any]] = []
    new: list[dict[Any, Any]] = []
    ids = iter(free_ids(set(table["annotation_id"].tolist()), n_each))
    for place, kind in enumerate(kinds):
        for row in chosen.iloc[place * n_each : (place + 1) * n_each].to_dict("records"):
            if kind == "missed":
                gone.append(row["annotation_id"])
                continue
            if kind == "wrong_class":
                wrong = _of_another_class(row, labels, rng)
            elif kind == "badly_placed":
                wrong = _moved(row, truth.images, rng)
            else:
                wrong = _elsewhere(row, labels, truth.images, next(ids), rng)
            if wrong is not None:
                kind_of[wrong["annotation_id"]] = kind
                (new if kind == "spurious" else changed).append(wrong)
    missing = table[table["annotation_id"].isin(gone)]
    replaced = {*gone, *(row["annotation_id"] for row in changed)}
    kept = table[~table["annotation_id"].isin(replaced)]
    wrong_rows = pd.DataFrame([*changed, *new], columns=table.columns)
    planted = pd.concat([kept, ANNOTATIONS.conform(wrong_rows, where="planted")])
    # Masks are painted in the order of rows, in which a label that is changed keeps its place.
    planted = planted.set_index("annotation_id", drop=False)
    order = [own for own in table["annotation_id"] if own not in set(gone)]
    order += [row["annotation_id"] for row in new]
    planted = planted.loc[order].reset_index(drop=True)
    return Planted(replace(truth, annotations=planted), kind_of, missing)


def _of_another_class(
    row: dict[Any, Any], labels: pd.DataFrame, rng: np.random.Generator
) -> dict[Any, Any] | None:
    others = labels["category_id"][labels["category_id"] != row["category_id"]].to_numpy()
    return {**row, "category_id": int(rng.choice(others))} if len(others) else None


def _moved(
    row: dict[Any, Any], images: pd.DataFrame, rng: np.random.Generator
) -> dict[Any, Any] | None:
    """The label with box and mask moved, where there is room for it."""
    height, width = _size(images, row["image_id"])
    box = np.array([row[edge] for edge in BOX])
    sides = box[2:] - box[:2]
    move = np.round(sides * rng.uniform(*_SHIFT, 2) * rng.choice([-1, 1], 2))
    room = np.array([width, height]) - box[2:]
    move = np.clip(move, -box[:2], room)
    if (np.abs(move) < _SHIFT[0] * sides).all():
        return None
    moved = {**row, **dict(zip(BOX, (box + np.tile(move, 2)).tolist(), strict=True))}
    if isinstance(row["segmentation"], str):
        mask = annotation_mask(row["segmentation"], box.tolist(), height, width)
        moved["segmentation"] = mask_to_segmentation(_shifted(mask, *move.astype(int).tolist()))
    return moved


def _shifted(mask: NDArray[np.bool_], right: int, down: int) -> NDArray[np.bool_]:
    """A mask moved by whole pixels; what leaves the image is cut off.

    >>> _shifted(np.array([[True, False], [False, False]]), 1, 1).astype(int).tolist()
    [[0, 0], [0, 1]]
    """
    height, width = mask.shape
    moved = np.zeros_like(mask)
    moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = mask[
        max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return moved


def _elsewhere(
    row: dict[Any, Any],
    labels: pd.DataFrame,
    images: pd.DataFrame,
    annotation_id: int,
    rng: np.random.Generator,
) -> dict[Any, Any] | None:
    """A label of another image at the same place on this one, where nothing is labelled."""
    other = labels.iloc[int(rng.integers(len(labels)))]
    scale = np.array(_size(images, row["image_id"])) / _size(images, int(other["image_id"]))
    box = other[BOX].to_numpy(dtype=np.float64) * np.tile(scale[::-1], 2)
    taken = labels[BOX][labels["image_id"] == row["image_id"]].to_numpy(dtype=np.float64)
    if other["image_id"] == row["image_id"] or iou(box[None], taken).max() > _FREE:
        return None
    return {
        **row,
        "annotation_id": annotation_id,
        "category_id": int(other["category_id"]),
        **dict(zip(BOX, box.tolist(), strict=True)),
        "area": float((box[2] - box[0]) * (box[3] - box[1])),
        "segmentation": None,
    }


def _size(images: pd.DataFrame, image_id: int) -> tuple[int, int]:
    row = images[images["image_id"] == image_id].iloc[0]
    return int(row["height"]), int(row["width"])
