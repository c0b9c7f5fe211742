"""Unlabelled images that are left out because they look like ones that a student is scored on."""

from __future__ import annotations

from typing import NewType

import pandas as pd

from recycling.annotations import IMAGES
from recycling.annotations.images.near_duplicates import near_duplicate_groups
from recycling.tables import Column, Schema, register_table

LeftOut = NewType("LeftOut", pd.DataFrame)
"""One row an image that is left out; schema `LEFT_OUT`."""

LEFT_OUT = Schema(
    "left out",
    (
        Column("image_id", "int64", "the unlabelled image", unique=True),
        Column("file_name", "string", "its file"),
        Column("like", "string", "the file that it looks like"),
    ),
)
register_table("pseudo_label_left_out", LEFT_OUT, LeftOut)


def images_alike(
    unlabeled: pd.DataFrame, scored: pd.DataFrame, max_distance: int | None
) -> LeftOut:
    """The unlabelled images that look like an image that a student is scored on.

    Like are images of the same bytes, and those that a chain of near-duplicates leads to.

    Args:
        unlabeled: What a check of the unlabelled images found; schema `IMAGE_CHECKS`.
        scored: The same of the images that the student is scored on.
        max_distance: Bits, of 64, in which the perceptual hashes of near-duplicates may differ;
            None where only the bytes count.
    """
    both = pd.concat([unlabeled, scored], ignore_index=True)
    both = both.assign(image_id=range(len(both)))
    is_scored = both.index >= len(unlabeled)
    if max_distance is None:
        both["phash"] = None
    numbers = both["image_id"].astype("string")
    images = pd.DataFrame(
        {
            "image_id": both["image_id"],
            "file_name": numbers,  # files of two parts may be called alike
            "width": 1,
            "height": 1,
            "group": numbers,
            "extra": None,
        }
    )
    images = IMAGES.conform(images, where="images")
    group = near_duplicate_groups(images, both, max_distance=max_distance or 0)["group"]
    like = both["file_name"][is_scored].groupby(group[is_scored]).first()
    found = unlabeled.reset_index(drop=True).assign(like=group[~is_scored].map(like))
    left_out = found.dropna(subset="like")[LEFT_OUT.names].reset_index(drop=True)
    return LeftOut(LEFT_OUT.conform(left_out, where="left out"))
