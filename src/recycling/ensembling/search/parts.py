"""Parts of the images of one fold, where members have predictions out of fold for no other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recycling.ensembling.members import EnsemblingError
from recycling.tables import Column, Schema

PARTS = Schema(
    "folds",
    (
        Column("image_id", "int64", "the image", unique=True),
        Column("fold", "int64", "the part that it is in", minimum=0),
    ),
)


def parts_of(
    image_ids: Sequence[int] | NDArray[np.int64],
    groups: Sequence[str],
    *,
    n_parts: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Deal images into parts, for choosing on some and scoring on another.

    Args:
        image_ids: (images,), in any order, which does not matter.
        groups: (images,), images of one group stay in one part.
        n_parts: How many parts, 2 at least.
        seed: Of the deal.

    Returns:
        `image_id` and `fold`, by image; groups are dealt at random, about as many to each part.

    Raises:
        EnsemblingError: Not one group an image, an image twice, or fewer groups than parts.

    Example:
        >>> parts = parts_of([1, 2, 3], ["kitchen", "kitchen", "garden"], n_parts=2)
        >>> parts["fold"].tolist()
        [0, 0, 1]
    """
    if len(image_ids) != len(groups):
        raise EnsemblingError(f"{len(groups)} groups for {len(image_ids)} images; give one each")
    table = pd.DataFrame({"image_id": image_ids, "group": groups}).sort_values("image_id")
    twice = table["image_id"].duplicated()
    if twice.any():
        raise EnsemblingError(f"image {table['image_id'][twice].iloc[0]} is there twice")
    n_groups = table["group"].nunique()
    if n_parts < 2 or n_groups < n_parts:
        raise EnsemblingError(
            f"{n_parts} parts of {len(table)} images in {n_groups} groups; there should be 2 parts "
            "or more, and no more than groups"
        )

    from sklearn.model_selection import GroupKFold

    fold = np.zeros(len(table), dtype=np.int64)
    splitter = GroupKFold(n_parts, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(splitter.split(table, groups=table["group"])):
        fold[held_out] = number
    return PARTS.conform(table.assign(fold=fold), where="parts")
